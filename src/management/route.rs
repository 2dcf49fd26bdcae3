//! The calls of the API, and the router that is made of them.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, Router, on};
use http::Method;

use super::desk::Desk;
use super::refusal;
use crate::rejection::Rejection;

/// What a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// Makes a key.
    Issue,
    /// Lists keys.
    List,
    /// Reads a key.
    Read,
    /// Changes a key.
    Update,
    /// Lets a key in again that was disabled.
    Enable,
    /// Refuses a key until it is enabled again.
    Disable,
    /// Makes the successor of a key, which works for a day more.
    Rotate,
    /// Makes the successor of a key, which is revoked.
    Regenerate,
    /// Reads what a key was used.
    Usage,
    /// Revokes a key.
    Revoke,
    /// Reads the audit trail.
    Audit,
}

/// Where a call is made: one line of [`ROUTES`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Endpoint {
    /// The method.
    pub method: Method,
    /// The path below that of the router, as axum writes patterns.
    pub path: &'static str,
    /// What the call does.
    pub action: Action,
}

impl Endpoint {
    const fn new(method: Method, path: &'static str, action: Action) -> Self {
        Self { method, path, action }
    }
}

/// Every call that the router answers. The router is built from this list and has no other.
pub static ROUTES: &[Endpoint] = &[
    Endpoint::new(Method::POST, "/", Action::Issue),
    Endpoint::new(Method::GET, "/", Action::List),
    Endpoint::new(Method::GET, "/audit", Action::Audit),
    Endpoint::new(Method::GET, "/{key_id}", Action::Read),
    Endpoint::new(Method::PATCH, "/{key_id}", Action::Update),
    Endpoint::new(Method::DELETE, "/{key_id}", Action::Revoke),
    Endpoint::new(Method::POST, "/{key_id}/revoke", Action::Revoke),
    Endpoint::new(Method::POST, "/{key_id}/disable", Action::Disable),
    Endpoint::new(Method::POST, "/{key_id}/enable", Action::Enable),
    Endpoint::new(Method::POST, "/{key_id}/rotate", Action::Rotate),
    Endpoint::new(Method::POST, "/{key_id}/regenerate", Action::Regenerate),
    Endpoint::new(Method::GET, "/{key_id}/usage", Action::Usage),
];

/// The name of the path's parameter that says which key a call is about.
pub(super) const KEY_ID: &str = "key_id";

pub(super) fn router(desk: &Arc<Desk>) -> Router {
    let mut router = Router::new();
    for &Endpoint { ref method, path, action } in ROUTES {
        // Every method of the list is one that axum knows.
        let Ok(filter) = MethodFilter::try_from(method.clone()) else { continue };
        let desk = Arc::clone(desk);
        router = router.route(path, on(filter, move |request: Request| serve(desk, action, request)));
    }
    router
        .fallback(|request: Request| refuse(request, refusal::no_such_call))
        .method_not_allowed_fallback(|request: Request| refuse(request, refusal::method_not_allowed))
}

async fn serve(desk: Arc<Desk>, action: Action, request: Request) -> Response {
    desk.answer(action, request).await.unwrap_or_else(IntoResponse::into_response)
}

/// Not even that there is no such call is told to somebody unknown.
async fn refuse(request: Request, because: fn() -> Rejection) -> Response {
    let (mut parts, _) = request.into_parts();
    match super::desk::caller(&mut parts).await {
        Ok(_) => because().into_response(),
        Err(rejection) => rejection.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_of_the_list_is_routed() {
        for endpoint in ROUTES {
            assert!(MethodFilter::try_from(endpoint.method.clone()).is_ok(), "{endpoint:?}");
        }
    }
}
