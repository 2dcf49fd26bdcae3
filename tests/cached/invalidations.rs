//! What other nodes say.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::{Mutex, mpsc};
use tower_api_key::source::cached::{Invalidation, Invalidations, LocalInvalidations};
use tower_api_key::source::{Cached, KeySource, Lookup};

use super::support::*;

fn is_known(cache: &Cached<Fake>, name: &str) -> bool {
    !matches!(cache.find_now(&digest(name)), Lookup::Ask)
}

async fn filled(names: &[&str]) -> (Fake, Cached<Fake>) {
    let source = Fake::new();
    let (cache, _clock) = cache(&source);
    fill(&source, &cache, names).await;
    (source, cache)
}

async fn fill(source: &Fake, cache: &Cached<Fake>, names: &[&str]) {
    for name in names {
        source.put(name);
        cache.find(&digest(name)).await.unwrap();
    }
    cache.find(&digest("absent")).await.unwrap();
}

#[tokio::test]
async fn an_invalidation_forgets_what_it_names() {
    let known = |cache: &Cached<Fake>| ["one", "two", "absent"].map(|name| is_known(cache, name));
    for (invalidation, left) in [
        (Invalidation::Key(id("one")), [false, true, true]),
        (Invalidation::Digest(digest("two")), [true, false, true]),
        (Invalidation::Digest(digest("absent")), [true, true, false]),
        (Invalidation::Absent, [true, true, false]),
        (Invalidation::All, [false, false, false]),
    ] {
        let (_source, cache) = filled(&["one", "two"]).await;
        assert_eq!(known(&cache), [true; 3]);
        cache.apply(invalidation.clone());
        assert_eq!(known(&cache), left, "{invalidation:?}");
    }
}

#[tokio::test]
async fn every_digest_of_a_key_is_forgotten_with_it() {
    let (source, cache) = filled(&["one"]).await;
    let mut again = record("one");
    again.digest = digest("under another pepper");
    source.put_record(again);
    cache.find(&digest("under another pepper")).await.unwrap();
    cache.invalidate(&id("one"));
    assert!(!is_known(&cache, "one") && !is_known(&cache, "under another pepper"));
    cache.find(&digest("one")).await.unwrap();
    cache.invalidate_digest(&digest("one"));
    cache.find(&digest("absent")).await.unwrap();
    cache.invalidate_all();
    assert!(cache.is_empty());
}

#[tokio::test]
async fn a_record_that_was_renewed_is_still_found_by_its_id() {
    let source = Fake::new();
    let (cache, clock) = cache(&source);
    for _ in 0..3 {
        fill(&source, &cache, &["one"]).await;
        clock.advance(seconds(60));
    }
    fill(&source, &cache, &["one"]).await;
    assert!(is_known(&cache, "one"));
    cache.invalidate(&id("one"));
    assert!(!is_known(&cache, "one"));
}

#[tokio::test]
async fn what_one_node_says_all_nodes_hear() {
    let bus = LocalInvalidations::default();
    let source = Fake::new();
    let nodes = [cache(&source).0, cache(&source).0];
    for node in &nodes {
        tokio::spawn(node.listen(bus.subscribe()));
    }
    settle().await;
    for node in &nodes {
        fill(&source, node, &["one", "two"]).await;
    }
    source.revoke("one");
    bus.send(Invalidation::Key(id("one")));
    settle().await;
    for node in &nodes {
        assert!(!is_known(node, "one") && is_known(node, "two"));
        assert!(is_revoked(&node.find(&digest("one")).await));
    }
}

#[tokio::test]
async fn who_is_too_slow_to_hear_all_forgets_all() {
    let bus = LocalInvalidations::new(2);
    let (source, cache) = filled(&[]).await;
    tokio::spawn(cache.listen(bus.subscribe()));
    settle().await;
    fill(&source, &cache, &["one", "two"]).await;
    for name in ["one", "3", "4", "5"] {
        bus.send(Invalidation::Key(id(name)));
    }
    settle().await;
    assert!(cache.is_empty(), "the message about one was lost, and could have been about two");
}

#[tokio::test]
async fn all_is_forgotten_when_the_bus_ends_and_when_listening_starts() {
    let bus = LocalInvalidations::default();
    let (source, cache) = filled(&["one"]).await;
    let listening = tokio::spawn(cache.listen(bus.subscribe()));
    settle().await;
    assert!(cache.is_empty(), "whatever was said before was said to nobody");
    fill(&source, &cache, &["one"]).await;
    drop(bus);
    listening.await.unwrap();
    assert!(cache.is_empty());
}

/// Says what it is given to say.
struct Script(Arc<Mutex<mpsc::UnboundedReceiver<Result<Invalidation, &'static str>>>>);

impl Invalidations for Script {
    type Error = &'static str;

    async fn next(&mut self) -> Result<Option<Invalidation>, &'static str> {
        self.0.lock().await.recv().await.transpose()
    }
}

#[tokio::test(start_paused = true)]
async fn all_is_forgotten_when_the_bus_is_lost_and_again_when_it_is_back() {
    let (say, script) = mpsc::unbounded_channel();
    let (source, cache) = filled(&[]).await;
    tokio::spawn(cache.listen(Script(Arc::new(Mutex::new(script)))));
    settle().await;
    let mut script = VecDeque::from([Err("lost"), Err("still lost"), Ok(Invalidation::Key(id("other")))]);
    while let Some(message) = script.pop_front() {
        fill(&source, &cache, &["one"]).await;
        say.send(message).unwrap();
        tokio::time::advance(seconds(10)).await;
        settle().await;
        assert!(cache.is_empty(), "{} to come", script.len());
    }
    fill(&source, &cache, &["one"]).await;
    say.send(Ok(Invalidation::Key(id("other")))).unwrap();
    settle().await;
    assert!(is_known(&cache, "one"), "all is well again");
}

#[tokio::test(start_paused = true)]
async fn a_bus_that_is_lost_with_its_source_takes_no_record_with_it_and_one_that_is_lost_alone_hides_no_revocation() {
    let (say, script) = mpsc::unbounded_channel();
    let source = Fake::new();
    let (one, two) = (source.put("one"), source.put("two"));
    let (cache, clock) = cache_with(&source, |builder| builder.stale_on_error(seconds(300)));
    tokio::spawn(cache.listen(Script(Arc::new(Mutex::new(script)))));
    settle().await;
    for digest in [&one, &two] {
        assert!(cache.find(digest).await.unwrap().is_some());
    }
    source.revoke("two");
    say.send(Err("lost")).unwrap();
    settle().await;
    assert!(matches!(cache.find_now(&two), Lookup::Ask), "nothing is believed without asking");
    assert!(is_revoked(&cache.find(&two).await));
    source.set_away(Some("gone, too"));
    assert!(cache.find(&one).await.unwrap().is_some());
    assert!(is_revoked(&cache.find(&two).await), "what was learned since counts");
    clock.advance(seconds(360));
    assert!(cache.find(&one).await.is_err(), "as long as any other record, and no longer");
    source.set_away(None);
    assert!(cache.find(&one).await.unwrap().is_some());
    tokio::time::advance(seconds(10)).await;
    say.send(Ok(Invalidation::Key(id("other")))).unwrap();
    settle().await;
    assert!(cache.is_empty(), "when it is back, everything is forgotten");
}
