//! `GET /{id}/usage`: reads what a key was used, and when.

use std::net::IpAddr;

use axum::extract::Query;
use axum::response::Response;
use http::{StatusCode, Uri};
use serde::Serialize;
use serde_json::Value;

use super::desk::{Desk, Order};
use super::fields::Fields;
use super::{answer, refusal, values};
use crate::clock::Timestamp;
use crate::rejection::Rejection;
use crate::source::{UsageBucket, UsagePoint, UsageRange};

/// How many buckets an answer can have.
const MOST: i64 = 1_000;

pub(super) async fn answer(desk: &Desk, order: &Order) -> Result<Response, Rejection> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Usage {
        use_count: u64,
        last_used_at: Option<Timestamp>,
        last_used_ip: Option<IpAddr>,
        bucket: UsageBucket,
        from: Timestamp,
        to: Timestamp,
        series: Option<Vec<UsagePoint>>,
    }
    let range = read(&order.parts.uri, desk.clock.now())?;
    let key = desk.find(order).await?;
    let points = desk.ask(desk.store.usage_series(&key.id, &range)).await?;
    let usage = Usage {
        use_count: key.use_count,
        last_used_at: key.last_used_at,
        last_used_ip: key.last_used_ip,
        bucket: range.bucket,
        from: range.from,
        to: range.to,
        series: points.map(|points| filled(&points, &range)),
    };
    answer::json(StatusCode::OK, &usage)
}

/// The range that is asked for; unless it is said, the last 30 days or 48 hours, that of now included.
fn read(uri: &Uri, now: Timestamp) -> Result<UsageRange, Rejection> {
    let query = Query::<Vec<(String, String)>>::try_from_uri(uri);
    let Query(parameters) = query.map_err(|_| refusal::malformed("The query could not be read"))?;
    let mut fields = Fields::of_query(parameters);
    let bucket = fields.optional("bucket", bucket).unwrap_or(UsageBucket::Day);
    let to = fields.optional("to", values::parsed::<Timestamp>);
    let from = fields.optional("from", values::parsed::<Timestamp>);
    let to = to.unwrap_or_else(|| from.map_or(now, |from| now.max(from.saturating_add(bucket.length()))));
    let usual = match bucket {
        UsageBucket::Hour => 47,
        UsageBucket::Day => 29,
    };
    let from = from.unwrap_or_else(|| to.saturating_sub(bucket.length() * usual));
    let range = UsageRange::new(bucket.start(from), to, bucket);
    let buckets = range.indices();
    if to <= from {
        fields.refuse("to", "must be after from");
    } else if buckets.end - buckets.start > MOST {
        fields.refuse("from", format!("must be at most {MOST} buckets before to"));
    }
    fields.finish()?;
    Ok(range)
}

fn bucket(value: Value) -> Result<UsageBucket, String> {
    serde_json::from_value(value).map_err(|_| "must be hour or day".to_owned())
}

/// Every bucket of the range, those without a use as well.
fn filled(points: &[UsagePoint], range: &UsageRange) -> Vec<UsagePoint> {
    let mut points = points.iter().peekable();
    let bucket = |index| {
        let at = range.bucket.nth(index);
        // Whatever else a store has is passed over.
        while points.next_if(|point| point.at < at).is_some() {}
        points.next_if(|point| point.at == at).map_or(UsagePoint::new(at, 0), |point| *point)
    };
    range.indices().map(bucket).collect()
}
