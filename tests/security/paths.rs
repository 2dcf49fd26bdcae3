//! A path judged by one spelling and routed by another.

use http::{Method, Request, Uri};
use tower_api_key::ApiKeyLayer;
use tower_api_key::key::{Scope, ScopeSet};
use tower_api_key::route::{Methods, Route};

use crate::support::{Numbers, Outcome, key_of, memory, record, send, send_request};

const ADMIN: Scope = Scope::from_static("admin");
const READ: Scope = Scope::from_static("read");

fn table() -> (ApiKeyLayer, String) {
    let key = key_of("live");
    let mut reader = record("key_reader", &key);
    reader.scopes = ScopeSet::from(READ);
    let auth = ApiKeyLayer::builder(memory([reader]))
        .public(Method::GET, "/api/status")
        .public(Method::GET, "/static/{*rest}")
        .public(Method::GET, "/files/{name}")
        .optional(Method::GET, "/feed")
        .route(Methods::ANY, "/v1/keys", Route::new().scopes(ADMIN))
        .route(Methods::ANY, "/v1/keys/{id}", Route::new().scopes(ADMIN))
        .route(Methods::ANY, "/V1/Reports", Route::new().scopes(ADMIN))
        .route(Methods::ANY, "/v1/audit%20log", Route::new().scopes(ADMIN))
        .route(Methods::ANY, "/v1/hooks/", Route::new().scopes(ADMIN))
        .route(Methods::ANY, "/static/private", Route::new().scopes(ADMIN))
        .build()
        .unwrap();
    (auth, key)
}

fn get(path: &str) -> Option<Request<()>> {
    Some(Request::new(()))
        .zip(path.parse::<Uri>().ok())
        .filter(|(_, uri)| uri.path() == path.split('?').next().unwrap_or_default())
        .map(|(mut request, uri)| {
            *request.uri_mut() = uri;
            request
        })
}

/// Spellings that one server or another takes for `path`.
fn spellings(path: &str) -> Vec<String> {
    let (head, last) = path.rsplit_once('/').unwrap();
    let Some(&first) = last.as_bytes().first() else { return Vec::new() };
    let rest = &last[1..];
    let mut all = vec![
        format!("/{path}"),
        format!("//{path}"),
        format!("/.{path}"),
        format!("/..{path}"),
        format!("/%2e{path}"),
        format!("/%2E%2e{path}"),
        format!("/x/..{path}"),
        format!("/x/%2e%2e{path}"),
        format!("/x/.%2e{path}"),
        format!("/x%2f..{path}"),
        format!("/x;a=b/..{path}"),
        format!("/;{path}"),
        format!("{path}/"),
        format!("{path}//"),
        format!("{path}/."),
        format!("{path}/./"),
        format!("{path}/x/.."),
        format!("{path}/%2e"),
        format!("{path}/%2e%2e/{last}"),
        format!("{path};"),
        format!("{path};a=b"),
        format!("{path};/"),
        format!("{path}%3ba=b"),
        format!("{path}%2f"),
        format!("{path}%252f"),
        format!("{path}\\"),
        format!("{path}%5c"),
        path.to_uppercase(),
        path.replace('/', "//"),
        path.replacen('/', "\\", 2).replacen('\\', "/", 1),
        path.replacen('/', "%2f", 2).replacen("%2f", "/", 1),
        path.replacen('/', "%2F", 2).replacen("%2F", "/", 1),
        path.replacen('/', "%5c", 2).replacen("%5c", "/", 1),
        path.replacen('/', "%252f", 2).replacen("%252f", "/", 1),
        path.replacen('/', "%25252f", 2).replacen("%25252f", "/", 1),
        format!("{head}/%{first:02x}{rest}"),
        format!("{head}/%{first:02X}{rest}"),
        format!("{head}/%25{first:02x}{rest}"),
        format!("{head}/%2525{first:02x}{rest}"),
        format!(
            "{head}/%%{:02x}{:02x}{rest}",
            b"0123456789abcdef"[usize::from(first >> 4)],
            b"0123456789abcdef"[usize::from(first & 15)]
        ),
        format!("{head};v=1/{last}"),
        format!("{head}/./{last}"),
        format!("{head}/y/../{last}"),
        format!("{head}/y/%2e%2e/{last}"),
        format!("{head}/y/..;/{last}"),
        format!("{head}/{}{rest}", char::from(first).to_ascii_uppercase()),
    ];
    all.retain(|spelling| spelling != path);
    all
}

/// CVE-2021-43557, CVE-2021-29492, CVE-2019-9901, CVE-2026-48746.
#[test]
fn no_other_spelling_of_a_public_path_is_public() {
    let (auth, _) = table();
    assert!(send(&auth, Request::get("/api/status")).was_let_in());
    assert!(send(&auth, Request::head("/api/status")).was_let_in());
    let mut count = 0;
    for path in ["/api/status", "/feed"] {
        for spelling in spellings(path) {
            for suffix in ["", "?", "?x=/api/status"] {
                let Some(request) = get(&format!("{spelling}{suffix}")) else { continue };
                send_request(&auth, request).assert_refused("MISSING_API_KEY", &spelling);
                count += 1;
            }
        }
    }
    assert!(count > 200, "{count}");
}

#[test]
fn no_other_method_on_a_public_path_is_public() {
    let (auth, _) = table();
    let others = ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "get", "Get", "GETS", "HEAD ", "QUERY", "X"];
    for method in others {
        let Ok(method) = Method::from_bytes(method.as_bytes()) else { continue };
        for path in ["/api/status", "/static/app.js", "/files/a", "/feed"] {
            send(&auth, Request::builder().method(method.clone()).uri(path))
                .assert_refused("MISSING_API_KEY", (&method, path));
        }
    }
}

/// What a service may do to a path before it looks at it. Every combination of these exists somewhere.
#[derive(Debug, Clone, Copy)]
struct Reading(u8);

impl Reading {
    fn all() -> impl Iterator<Item = Self> {
        (0..=u8::MAX).map(Self)
    }

    const fn does(self, bit: u8) -> bool {
        self.0 & (1 << bit) != 0
    }

    fn read(self, path: &str) -> String {
        let mut text = path.to_owned();
        for bit in [0, 1] {
            if self.does(bit) {
                text = percent_encoding::percent_decode_str(&text).decode_utf8_lossy().into_owned();
            }
        }
        if self.does(2) {
            text = text.replace('\\', "/");
        }
        if self.does(3) {
            let segments = text.split('/').map(|segment| segment.split(';').next().unwrap_or_default());
            text = segments.collect::<Vec<_>>().join("/");
        }
        if self.does(4) {
            text = format!("/{}", text.split('/').filter(|s| !s.is_empty()).collect::<Vec<_>>().join("/"));
        }
        if self.does(5) {
            let mut kept: Vec<&str> = Vec::new();
            for segment in text.split('/').skip(1) {
                match segment {
                    "." => {}
                    ".." => drop(kept.pop()),
                    other => kept.push(other),
                }
            }
            text = format!("/{}", kept.join("/"));
        }
        if self.does(6) {
            text = text.to_lowercase();
        }
        if self.does(7) && text.len() > 1 {
            text = text.trim_end_matches('/').to_owned();
        }
        text
    }
}

/// What the lenient service serves for a path that it has read; nothing, if there is no such thing.
#[derive(Debug, PartialEq)]
enum Served {
    Nothing,
    Open,
    Guarded,
    Admin,
}

fn serve(path: &str) -> Served {
    let name = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    match path {
        "/api/status" | "/feed" => Served::Open,
        "/secret" | "/api/secret" => Served::Guarded,
        "/v1/keys" | "/v1/reports" | "/V1/Reports" | "/v1/audit log" | "/v1/audit%20log" | "/v1/hooks"
        | "/v1/hooks/" | "/static/private" => Served::Admin,
        other => match (other.strip_prefix("/v1/keys/"), other.strip_prefix("/static/")) {
            (Some(id), _) if name(id) => Served::Admin,
            (_, Some(file)) if file.split('/').all(name) => Served::Open,
            _ => Served::Nothing,
        },
    }
}

/// Whether the gate let in what the service behind it takes for more than the gate did.
fn leak(outcome: &Outcome, path: &str, has_key: bool) -> Option<(Reading, Served)> {
    if !outcome.was_let_in() {
        return None;
    }
    Reading::all().find_map(|reading| match serve(&reading.read(path)) {
        served @ Served::Admin => Some((reading, served)),
        served @ Served::Guarded if !has_key => Some((reading, served)),
        _ => None,
    })
}

#[track_caller]
fn assert_no_leak(auth: &ApiKeyLayer, key: &str, path: &str) -> usize {
    let Some(request) = get(path) else { return 0 };
    let outcome = send_request(auth, request);
    let found = leak(&outcome, path, false);
    assert!(found.is_none(), "without a key {path:?} gets to {found:?}");
    let mut request = get(path).unwrap();
    request.headers_mut().insert("x-api-key", key.parse().unwrap());
    let outcome = send_request(auth, request);
    let found = leak(&outcome, path, true);
    assert!(found.is_none(), "without the scope {path:?} gets to {found:?}");
    1
}

/// CVE-2021-43557 (request URI taken raw), CVE-2021-29492 (escaped slashes), CVE-2019-9901 (no normalisation).
#[test]
fn a_service_that_decodes_paths_leniently_serves_nothing_that_the_gate_did_not_judge() {
    let (auth, key) = table();
    let mut count = 0;
    let targets = [
        "/secret",
        "/api/secret",
        "/v1/keys",
        "/v1/keys/abc",
        "/V1/Reports",
        "/v1/reports",
        "/v1/audit%20log",
        "/v1/audit%20Log",
        "/v1/hooks",
        "/v1/hooks/",
        "/static/private",
    ];
    for target in targets {
        count += assert_no_leak(&auth, &key, target);
        let bare = target.trim_end_matches('/');
        let prefixed = [
            "/static/..",
            "/static/x/../..",
            "/static/..;",
            "/static/%2e%2e",
            "/static/.%2e",
            "/files/..",
            "/static/..%3b",
            "/static/..%3Ba=b",
            "/static/%%32e%%32e",
            "/static/%2%65%2%65",
            "/static/x%2f..%2f..",
            "/static/..%5c",
            "/static/.%252e",
            "/static/%252e%252e",
            "/static\\..",
            "/api/status/..",
            "/api/status/../..",
        ];
        for spelling in spellings(bare).into_iter().chain(prefixed.map(|prefix| format!("{prefix}{bare}"))) {
            count += assert_no_leak(&auth, &key, &spelling);
            for again in spellings(&spelling) {
                count += assert_no_leak(&auth, &key, &again);
            }
        }
    }
    assert!(count > 5_000, "{count}");
}

#[test]
fn no_made_up_spelling_gets_past_the_table() {
    const PIECES: [&str; 40] = [
        "/", "/", "/", "v1", "V1", "keys", "Keys", "%6beys", "%256beys", "abc", "static", "Static", "private",
        "secret", "api", "status", "files", "feed", ".", "..", "%2e", "%2E%2e", "%252e", "%2f", "%2F", "%252f", "%5c",
        "\\", ";", ";a=b", "%3b", "%00", "%20", "//", "/../", "/./", "x", "%", "%%32e", "reports",
    ];
    let (auth, key) = table();
    let mut numbers = Numbers::seeded(3);
    let mut count = 0;
    while count < 20_000 {
        let mut path = String::from("/");
        for _ in 0..=numbers.below(10) {
            let piece: &&str = numbers.pick(&PIECES);
            path.push_str(piece);
        }
        count += assert_no_leak(&auth, &key, &path);
    }
}

/// A more precise entry for one method must not hide what a wider entry asks for another.
#[test]
fn an_entry_for_one_method_does_not_lift_what_a_wider_one_asks_of_the_others() {
    let key = key_of("live");
    let auth = ApiKeyLayer::builder(memory([record("key_reader", &key)]))
        .public(Method::GET, "/admin/health")
        .route(Methods::ANY, "/admin/{*rest}", Route::new().scopes(ADMIN))
        .route(Method::GET, "/users/me", Route::new())
        .route(Method::DELETE, "/users/{id}", Route::new().scopes(ADMIN))
        .build()
        .unwrap();
    assert!(send(&auth, Request::get("/admin/health")).was_let_in());
    assert!(send(&auth, Request::get("/users/me").header("x-api-key", &key)).was_let_in());
    for (method, path) in [
        (Method::POST, "/admin/health"),
        (Method::OPTIONS, "/admin/health"),
        (Method::DELETE, "/users/me"),
        (Method::POST, "/Admin/Health"),
        (Method::GET, "/Admin/Health"),
        (Method::DELETE, "//users/me"),
        (Method::DELETE, "/users/ME"),
    ] {
        send(&auth, Request::builder().method(method.clone()).uri(path).header("x-api-key", &key))
            .assert_refused("INSUFFICIENT_SCOPE", (method, path));
    }
}

/// Two patterns that become one when they are read leniently.
#[test]
fn no_restriction_is_lost_where_two_patterns_differ_by_spelling_alone() {
    let key = key_of("live");
    let auth = ApiKeyLayer::builder(memory([record("key_reader", &key)]))
        .route(Method::GET, "/v1/{id}", Route::new())
        .route(Method::DELETE, "/V1/{name}", Route::new().scopes(ADMIN))
        .route(Method::PUT, "/V1/{name}/Parts", Route::new().scopes(ADMIN))
        .build()
        .unwrap();
    for (method, path) in [
        (Method::DELETE, "/V1/7"),
        (Method::DELETE, "/v1/7"),
        (Method::DELETE, "//v1/7"),
        (Method::PUT, "/v1/7/parts"),
        (Method::PUT, "/v1/%37/PARTS/"),
    ] {
        send(&auth, Request::builder().method(method.clone()).uri(path).header("x-api-key", &key))
            .assert_refused("INSUFFICIENT_SCOPE", (method, path));
    }
}

#[test]
fn an_absolute_form_target_is_judged_by_its_path_and_no_host_changes_that() {
    let (auth, key) = table();
    for host in ["a.example", "api", "localhost:80", "[::1]", "user@api"] {
        assert!(send(&auth, Request::get(format!("http://{host}/api/status"))).was_let_in(), "{host}");
        for path in ["", "/", "/secret", "//api/status", "/api/status/"] {
            let uri = format!("http://{host}{path}");
            send(&auth, Request::get(&uri)).assert_refused("MISSING_API_KEY", &uri);
        }
        let keys = send(&auth, Request::get(format!("https://{host}/v1/keys")).header("x-api-key", &key));
        keys.assert_refused("INSUFFICIENT_SCOPE", host);
    }
    for host in
        ["/api/status", "api/status", "x/api/status", "localhost/api/status", "localhost:80/api/status", "\u{80}", ""]
    {
        for uri in ["/secret", "/", "*", "http://a.example/secret"] {
            let mut request = get(uri).unwrap_or_else(|| Request::get(uri).body(()).unwrap());
            request.headers_mut().append("host", http::HeaderValue::from_bytes(host.as_bytes()).unwrap());
            send_request(&auth, request).assert_refused("MISSING_API_KEY", (host, uri));
        }
    }
    let connect = Request::builder().method(Method::CONNECT).uri("api.example:443");
    send(&auth, connect).assert_refused("MISSING_API_KEY", "CONNECT");
    send(&auth, Request::options("*")).assert_refused("MISSING_API_KEY", "OPTIONS *");
}

#[test]
fn a_query_or_a_fragment_makes_no_path_public() {
    let (auth, _) = table();
    for path in ["/secret?/api/status", "/?/../api/status", "/secret?a=b#/api/status", "/?", "/secret?x=/static/a"] {
        send(&auth, Request::get(path)).assert_refused("MISSING_API_KEY", path);
    }
}
