//! `POST /`, `/{id}/rotate` and `/{id}/regenerate`: the calls that make keys, once however often they are repeated.
//!
//! A caller that hears no answer cannot tell whether a key was made. With an `Idempotency-Key`
//! (draft-ietf-httpapi-idempotency-key-header-07) it can ask again: within a day the same request gets the same key, without
//! the secret, which nobody has kept.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use sha2::{Digest, Sha256};

use super::desk::{Desk, Order};
use super::repeats::{Claim, Earlier, Fingerprint, Request};
use super::route::Action;
use super::{answer, issue, location, refusal, rotate};
use crate::context::Principal;
use crate::key::{KeyId, KeyRecord};
use crate::rejection::Rejection;

/// What callers name a request with that they may repeat.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that an answer is about a key that an earlier request made. Not of the draft; a name that other APIs have for it.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// The longest name of a request.
const LONGEST: usize = 255;

pub(super) async fn answer(desk: &Desk, action: Action, order: &Order, text: Bytes) -> Result<Response, Rejection> {
    let name = name(&order.parts.headers)?;
    let claim = match &name {
        None => None,
        Some(name) => match desk.repeats.claim(request(action, order, name), fingerprint(&text), desk.clock.now()) {
            Earlier::None(claim) => Some(claim),
            Earlier::Made(id) => return again(desk, action, order, &id).await,
            Earlier::UnderWay => return Err(refusal::conflict("The same request is under way; repeat it later")),
            Earlier::Other => return Err(refusal::key_reused()),
            Earlier::Full => return Err(refusal::busy()),
        },
    };
    once(desk, action, order, text, claim).await
}

async fn once(
    desk: &Desk,
    action: Action,
    order: &Order,
    text: Bytes,
    claim: Option<Claim>,
) -> Result<Response, Rejection> {
    let body = Body::from(text);
    let issued = match action {
        Action::Rotate => rotate::make(desk, order, body, rotate::DAY).await?,
        Action::Regenerate => rotate::make(desk, order, body, Duration::ZERO).await?,
        _ => issue::make(desk, order, body).await?,
    };
    if let Some(claim) = claim {
        claim.keep(issued.record.id.clone(), desk.clock.now());
    }
    let response = answer::issued(&issued.record, issued.secret.expose_secret(), desk.clock.now())?;
    Ok(located(response, action, order, &issued.record))
}

/// The answer to a request that has made the key `id` before.
async fn again(desk: &Desk, action: Action, order: &Order, id: &KeyId) -> Result<Response, Rejection> {
    order.is_a_repeat();
    let found = desk.ask(desk.store.get(id)).await?;
    let made = found.filter(|key| order.mandate.reach().holds(&key.owner));
    let made = made.ok_or_else(|| refusal::conflict("The API key that this request has made is gone"))?;
    let mut response = located(answer::repeated(&made, desk.clock.now())?, action, order, &made);
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}

fn located(mut response: Response, action: Action, order: &Order, made: &KeyRecord) -> Response {
    let below = if action == Action::Issue { 0 } else { 2 };
    if let Some(location) = location::location(&order.parts, below, &made.id) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// The name of the request, if the caller gives it one. The draft has a quoted string; many send it without quotes.
fn name(headers: &HeaderMap) -> Result<Option<&[u8]>, Rejection> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).into_iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.as_bytes();
    let name = text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")).unwrap_or(text);
    let visible = name.iter().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'));
    if values.next().is_some() || name.is_empty() || name.len() > LONGEST || !visible {
        return Err(refusal::malformed("Send one Idempotency-Key of 1 to 255 visible ASCII characters"));
    }
    Ok(Some(name))
}

/// Which request it is: the same name is another one from another caller, about another key, and for another call.
fn request(action: Action, order: &Order, name: &[u8]) -> Request {
    let mut hasher = Sha256::new();
    let mut add = |part: &[u8]| {
        // With its length in front, so that no two lists of parts look the same.
        hasher.update(part.len().to_be_bytes());
        hasher.update(part);
    };
    let (key, user) = match order.caller.principal() {
        Principal::Anonymous => (None, None),
        Principal::Key(key) => (Some(key), None),
        Principal::User(session) => (None, Some(session)),
        Principal::KeyAndUser(key, session) => (Some(key), Some(session)),
    };
    add(key.map_or("", |key| key.id.as_str()).as_bytes());
    add(user.map_or("", |session| session.user.id.as_str()).as_bytes());
    add(format!("{action:?} {:?}", order.mandate.reach()).as_bytes());
    add(order.key_id.as_ref().map_or(&[][..], |id| id.as_str().as_bytes()));
    add(name);
    Request(hasher.finalize().into())
}

fn fingerprint(text: &Bytes) -> Fingerprint {
    Fingerprint(Sha256::digest(text).into())
}
