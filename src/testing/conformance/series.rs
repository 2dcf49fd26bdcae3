//! How often keys were used when.

use std::time::Duration;

use super::{Stand, must};
use crate::source::{KeyStore, KeyUsage, NewKey, UsageBucket, UsagePoint, UsageRange};
use crate::testing::TestClock;

/// Uses are counted in their hours and days (UTC), whenever they are recorded, and those of a key that is purged are
/// forgotten with it. A store that keeps no series answers `None`, and keeps to the rule.
///
/// # Panics
/// When the rule is broken.
pub async fn uses_are_counted_by_the_hour_and_by_the_day<S: KeyStore>(make: impl AsyncFn(TestClock) -> S) {
    let stand = Stand::new(&make).await;
    let (one, two) = (stand.issue(NewKey::named("1")).await.record, stand.issue(NewKey::named("2")).await.record);
    // Half an hour into a day, so that the hour before is of another one.
    let midnight = UsageBucket::Day.start(stand.now());
    let at = |minutes: u64| midnight.saturating_add(Duration::from_secs(minutes * 60));
    let before = midnight.saturating_sub(Duration::from_secs(60));
    let first = KeyUsage::new(one.id.clone(), 7, at(70)).earlier([(before, 2), (at(30), 4)]);
    let batches = [
        vec![first, KeyUsage::new(two.id.clone(), 5, at(10))],
        vec![KeyUsage::new(one.id.clone(), 3, at(30)), KeyUsage::new(one.id.clone(), 1, at(119))],
    ];
    for batch in &batches {
        must(stand.keys.record_usage(batch).await);
    }
    let series =
        async |id, from, to, bucket| must(stand.keys.usage_series(id, &UsageRange::new(from, to, bucket)).await);
    let (hour, day) = (UsageBucket::Hour, UsageBucket::Day);
    let Some(hours) = series(&one.id, before, at(120), hour).await else { return };
    let yesterday = midnight.saturating_sub(Duration::from_secs(86_400));
    let expected = [(hour.start(before), 2), (midnight, 7), (at(60), 2)];
    let points = |points: &[(crate::clock::Timestamp, u64)]| {
        points.iter().map(|(at, count)| UsagePoint::new(*at, *count)).collect::<Vec<_>>()
    };
    assert_eq!(hours, points(&expected), "by the hour");
    assert_eq!(series(&one.id, at(60), at(61), hour).await, Some(points(&[(at(60), 2)])), "no more than is asked for");
    assert_eq!(series(&one.id, before, at(60), hour).await, Some(points(&expected[..2])), "the end is not in it");
    assert_eq!(series(&one.id, before, at(1), day).await, Some(points(&[(yesterday, 2), (midnight, 9)])), "by the day");
    assert_eq!(series(&two.id, before, at(60), day).await, Some(points(&[(midnight, 5)])), "of one key alone");
    assert_eq!(stand.get(&one.id).await.use_count, 11);
    stand.revoke(&one.id, "lost").await;
    stand.clock.advance(Duration::from_secs(60));
    assert_eq!(must(stand.keys.purge(stand.now()).await), 1);
    must(stand.keys.record_usage(&[KeyUsage::new(two.id.clone(), 1, at(20))]).await);
    assert_eq!(series(&one.id, before, at(120), day).await, Some(Vec::new()), "a purged key has no series");
    assert_eq!(series(&two.id, before, at(60), day).await, Some(points(&[(midnight, 6)])));
}
