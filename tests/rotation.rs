//! What callers with a key in its overlap are told.

use std::convert::Infallible;

use http::{Request, Response};
use tower::{Layer, ServiceExt, service_fn};
use tower_api_key::ApiKeyLayer;
use tower_api_key::clock::{Clock, Timestamp};
use tower_api_key::key::{KeyFormat, KeyHasher, KeyId, KeyRecord, Rotation};
use tower_api_key::source::MemoryKeys;

/// 2026-01-14T18:00:00Z.
const NOW: Timestamp = Timestamp::from_unix_seconds(1_768_413_600);

struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        NOW
    }
}

fn layer(on: bool) -> ApiKeyLayer {
    let keys = MemoryKeys::builder().format(KeyFormat::text()).build();
    for name in ["old", "new"] {
        let mut record = KeyRecord::new(KeyId::from_static(name), KeyHasher::sha256().digest(name));
        if name == "old" {
            let replaced_by = KeyId::from_static("new");
            record.rotation = Some(Rotation { rotated_at: Timestamp::from_unix_seconds(1_768_400_000), replaced_by });
            record.expires_at = Some(Timestamp::from_unix_seconds(1_768_413_601));
        }
        keys.insert(record).unwrap();
    }
    ApiKeyLayer::builder(keys).clock(Stopped).rotation_headers(on).build().unwrap()
}

async fn told(on: bool, key: &str, own: Option<&'static str>) -> Option<(String, String)> {
    let inner = service_fn(move |_: Request<()>| async move {
        let mut response = Response::new(());
        if let Some(own) = own {
            response.headers_mut().insert("sunset", own.parse().unwrap());
        }
        Ok::<_, Infallible>(response)
    });
    let request = Request::get("/").header("x-api-key", key).body(()).unwrap();
    let response = layer(on).layer(inner).oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let text = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    Some((text("deprecation").unwrap_or_default(), text("sunset")?))
}

#[tokio::test]
async fn a_key_in_its_overlap_is_told_since_when_and_until_when() {
    let expected = ("@1768400000".to_owned(), "Wed, 14 Jan 2026 18:00:01 GMT".to_owned());
    assert_eq!(told(true, "old", None).await, Some(expected));
    assert_eq!(told(true, "new", None).await, None);
    assert_eq!(told(false, "old", None).await, None, "off, unless switched on");
}

#[tokio::test]
async fn a_handlers_own_fields_are_not_overwritten() {
    let own = "Sat, 31 Dec 2050 23:59:59 GMT";
    assert_eq!(told(true, "old", Some(own)).await, Some((String::new(), own.to_owned())));
}
