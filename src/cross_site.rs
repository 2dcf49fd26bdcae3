//! Requests that another web site makes a browser send, with the cookies of its user.

use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use crate::error::ConfigError;
use crate::fields;

/// Which requests a cookie authenticates nobody on.
///
/// Safe methods pass (RFC 9110 §9.2.1), but for WebSocket handshakes. Of the others:
///
/// 1. A request whose `Origin` is on the list passes.
/// 2. Else, if there is a `Sec-Fetch-Site`, it passes as `same-origin` or `none`, and as nothing else.
/// 3. Else, if there is an `Origin`, it passes if its host and port are those of the request.
/// 4. Else no browser sent it, and it passes.
#[derive(Debug, Clone, Default)]
pub(crate) struct CrossSite {
    allowed: Vec<HeaderValue>,
    off: bool,
}

/// Fetch Metadata Request Headers, §2.3.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

impl CrossSite {
    pub(crate) fn new(origins: &[String], off: bool) -> Result<Self, ConfigError> {
        let parse = |origin: &String| {
            fields::origin(origin).ok_or_else(|| {
                let problem = format!("{origin:?} is no origin such as https://app.example.com");
                ConfigError::new("allow_cookies_from", problem)
            })
        };
        let (allowed, errors): (Vec<_>, Vec<_>) = origins.iter().map(parse).partition(Result::is_ok);
        ConfigError::all(errors.into_iter().filter_map(Result::err))?;
        Ok(Self { allowed: allowed.into_iter().flatten().collect(), off })
    }

    /// Whether another site may have made a browser send this.
    pub(crate) fn refuses(&self, parts: &Parts) -> bool {
        if self.off || (is_safe(&parts.method) && !is_websocket(&parts.headers)) {
            return false;
        }
        let origin = match only(&parts.headers, &header::ORIGIN) {
            Only::One(origin) if self.allowed.contains(origin) => return false,
            Only::Several => return true,
            Only::One(origin) => Some(origin),
            Only::None => None,
        };
        match only(&parts.headers, &SEC_FETCH_SITE) {
            Only::One(site) => site != "same-origin" && site != "none",
            Only::Several => true,
            Only::None => origin.is_some_and(|origin| !is_own(origin, parts)),
        }
    }
}

fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
}

/// A handshake over HTTP/1.1 (RFC 6455 §4.1). Over HTTP/2 it is a `CONNECT` (RFC 8441 §4), which is not safe anyway.
fn is_websocket(headers: &HeaderMap) -> bool {
    let protocols = headers.get_all(header::UPGRADE).into_iter();
    let mut protocols = protocols.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    protocols.any(|protocol| protocol.trim_ascii().eq_ignore_ascii_case(b"websocket"))
}

enum Only<'a> {
    None,
    One(&'a HeaderValue),
    Several,
}

fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Only<'a> {
    let mut values = headers.get_all(name).into_iter();
    match (values.next(), values.next()) {
        (None, _) => Only::None,
        (Some(value), None) => Only::One(value),
        (Some(_), Some(_)) => Only::Several,
    }
}

/// Whether the origin is the host that the request is for. `null`, and whatever is no origin, is none. The scheme cannot
/// be compared, since a proxy in front may have ended TLS.
fn is_own(origin: &HeaderValue, parts: &Parts) -> bool {
    let host = match only(&parts.headers, &header::HOST) {
        Only::One(host) => host.to_str().ok(),
        Only::None => parts.uri.authority().map(Authority::as_str),
        Only::Several => None,
    };
    let Some((scheme, origin)) = origin.to_str().ok().and_then(|origin| origin.split_once("://")) else {
        return false;
    };
    let port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return false,
    };
    host.is_some_and(|host| {
        host.eq_ignore_ascii_case(origin) || host.strip_suffix(port).is_some_and(|it| it.eq_ignore_ascii_case(origin))
    })
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn refused(rules: &CrossSite, method: &str, headers: &[(&str, &str)]) -> bool {
        let request = Request::builder().method(method).uri("/").header("host", "app.example.com");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        rules.refuses(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn what_another_site_may_have_sent_is_told_by_origin_and_fetch_metadata() {
        let rules = CrossSite::new(&["https://partner.example".to_owned()], false).unwrap();
        let own = ("origin", "https://app.example.com");
        let evil = ("origin", "https://evil.example");
        for (headers, expected) in [
            (&[][..], false),
            (&[own], false),
            (&[("origin", "https://APP.example.com")], false),
            (&[("origin", "https://app.example.com:8443")], true),
            (&[("origin", "https://app.example.com.evil.example")], true),
            (&[("origin", "null")], true),
            (&[("origin", "file://app.example.com")], true),
            (&[evil], true),
            (&[own, evil], true),
            (&[evil, own], true),
            (&[("origin", "https://partner.example")], false),
            (&[("origin", "https://partner.example"), ("sec-fetch-site", "cross-site")], false),
            (&[("origin", "https://partner.example.evil")], true),
            (&[("sec-fetch-site", "same-origin")], false),
            (&[("sec-fetch-site", "none")], false),
            (&[("sec-fetch-site", "same-site")], true),
            (&[("sec-fetch-site", "cross-site")], true),
            (&[("sec-fetch-site", "Same-Origin")], true),
            (&[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")], true),
            (&[own, ("sec-fetch-site", "cross-site")], true),
            (&[evil, ("sec-fetch-site", "same-origin")], false),
        ] {
            for method in ["POST", "PUT", "PATCH", "DELETE", "CONNECT", "QUERY", "post"] {
                assert_eq!(refused(&rules, method, headers), expected, "{method} {headers:?}");
            }
            for method in ["GET", "HEAD", "OPTIONS"] {
                assert!(!refused(&rules, method, headers), "{method} {headers:?}");
            }
            let mut handshake = headers.to_vec();
            handshake.push(("upgrade", "h2c, WebSocket"));
            assert_eq!(refused(&rules, "GET", &handshake), expected, "handshake {headers:?}");
        }
        assert!(!refused(&CrossSite::new(&[], true).unwrap(), "POST", &[evil]));
    }

    #[test]
    fn the_default_port_may_be_written_out() {
        let rules = CrossSite::default();
        let sent = |host: &str, origin: &str| {
            let request = Request::post("/").header("host", host).header("origin", origin).body(()).unwrap();
            rules.refuses(&request.into_parts().0)
        };
        assert!(!sent("app.example.com:443", "https://app.example.com"));
        assert!(sent("app.example.com:443", "http://app.example.com"));
        assert!(sent("app.example.com", "https://app.example.com:8443"));
        assert!(!sent("[::1]:3000", "http://[::1]:3000"));
    }

    #[test]
    fn what_is_no_origin_is_named() {
        let error = CrossSite::new(&["app.example.com".to_owned()], false).unwrap_err();
        assert!(error.to_string().contains("allow_cookies_from"), "{error}");
    }
}
