//! Keys that turn up somewhere else.

use std::sync::{Arc, Mutex};

use http::StatusCode;
use tower_api_key::ApiKeyLayer;
use tower_api_key::audit::AuthEvent;
use tower_api_key::clock::Timestamp;
use tower_api_key::source::{KeyStore, KeyUsage};
use tower_api_key::usage::Usage;
use tracing::Level;

use crate::support::{Log, call_from, one_key};

#[tokio::test]
async fn the_event_says_when_a_key_comes_from_a_new_address() {
    let (keys, issued, key) = one_key().await;
    let marks = Arc::new(Mutex::new(Vec::new()));
    let sink = {
        let marks = Arc::clone(&marks);
        move |event: AuthEvent<'_>| marks.lock().unwrap().push(event.new_address)
    };
    let auth =
        || ApiKeyLayer::builder(keys.clone()).usage(Usage::new(keys.clone())).audit(sink.clone()).build().unwrap();
    let first = auth();
    for (address, new) in [
        ("192.0.2.1", false), // the first use of all
        ("192.0.2.1", false),
        ("", false), // unknown
        ("192.0.2.2", true),
        ("192.0.2.2", false),
        ("192.0.2.1", false),
        ("2001:db8::1", true),
        ("2001:db8::2", false), // the same /64
        ("::ffff:192.0.2.2", false),
    ] {
        assert_eq!(call_from(&first, &key, address).await, StatusCode::OK);
        assert_eq!(std::mem::take(&mut *marks.lock().unwrap()), [new], "{address}");
    }
    call_from(&first, "ak_live_made_up", "192.0.2.9").await;
    assert_eq!(std::mem::take(&mut *marks.lock().unwrap()), [false], "nobody's key is nowhere new");
    // After a start, the record says where it was last seen.
    first.shutdown().await.unwrap();
    let second = auth();
    for (address, new) in [("192.0.2.2", false), ("192.0.2.7", true)] {
        call_from(&second, &key, address).await;
        assert_eq!(std::mem::take(&mut *marks.lock().unwrap()), [new], "{address}");
    }
    // What another process has seen meanwhile stands on the record.
    let elsewhere =
        KeyUsage::new(issued.record.id.clone(), 1, Timestamp::MAX).last_used_ip("192.0.2.8".parse().unwrap());
    keys.record_usage(&[elsewhere]).await.unwrap();
    call_from(&second, &key, "192.0.2.8").await;
    assert_eq!(*marks.lock().unwrap(), [false]);
}

#[tokio::test]
async fn the_log_says_so_too() {
    let (log, _listening) = Log::listen(Level::INFO);
    let (keys, _, key) = one_key().await;
    let auth = ApiKeyLayer::builder(keys.clone()).usage(Usage::new(keys)).build().unwrap();
    for (address, mark) in [("192.0.2.1", "new_address=false"), ("192.0.2.2", "new_address=true")] {
        call_from(&auth, &key, address).await;
        let lines = log.new_lines("outcome=\"accepted\"");
        assert!(lines.len() == 1 && lines[0].contains(mark), "{lines:?}");
    }
    call_from(&auth, "ak_live_made_up", "192.0.2.1").await;
    assert!(log.new_lines("new_address").is_empty(), "of accepted requests alone");
}
