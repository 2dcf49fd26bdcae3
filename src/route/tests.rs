use super::*;
use crate::key::Scope;

const ADMIN: Scope = Scope::from_static("admin");

fn entry(openness: Openness, method: Method, pattern: &str) -> Entry {
    let route = if openness == Openness::Guarded { Route::new().scopes(ADMIN) } else { Route::new() };
    Entry { setting: "route", methods: method.into(), pattern: pattern.to_owned(), openness, route }
}

fn table() -> RouteTable {
    RouteTable::new(
        vec![
            entry(Openness::Public, Method::GET, "/api/status"),
            entry(Openness::Public, Method::GET, "/files/{name}"),
            entry(Openness::Public, Method::GET, "/static/{*rest}"),
            entry(Openness::Optional, Method::GET, "/feed"),
            entry(Openness::Guarded, Method::POST, "/v1/keys"),
            entry(Openness::Guarded, Method::GET, "/static/private"),
            entry(Openness::Guarded, Method::DELETE, "/v1/keys/{id}"),
        ],
        Route::new(),
    )
    .unwrap()
}

fn openness(method: Method, path: &str) -> Openness {
    table().rule(&method, path, None).openness
}

fn needs_admin(method: Method, path: &str) -> bool {
    let table = table();
    let ruling = table.rule(&method, path, None);
    table.routes(&ruling).any(|route| route.required_scopes().is_some())
}

#[test]
fn a_public_path_is_public_only_as_it_is_written() {
    assert_eq!(openness(Method::GET, "/api/status"), Openness::Public);
    assert_eq!(openness(Method::HEAD, "/api/status"), Openness::Public);
    for path in [
        "/api/status/",
        "//api/status",
        "/api//status",
        "/API/status",
        "/api/Status",
        "/api/./status",
        "/api/x/../status",
        "/api/%73tatus",
        "/api%2fstatus",
        "/api\\status",
        "/api/status;a=b",
        "/api/status%00",
        "/api/status%20",
        "/x/api/status",
        "/api",
        "",
        "*",
        "/",
    ] {
        assert_eq!(openness(Method::GET, path), Openness::Guarded, "{path}");
    }
    for method in [Method::POST, Method::OPTIONS, Method::TRACE, Method::from_bytes(b"get").unwrap()] {
        assert_eq!(openness(method.clone(), "/api/status"), Openness::Guarded, "{method}");
    }
}

#[test]
fn a_pattern_gives_nothing_to_paths_that_can_be_read_in_two_ways() {
    for path in ["/files/a", "/files/a%20b", "/static/a", "/static/a/b/c.js"] {
        assert_eq!(openness(Method::GET, path), Openness::Public, "{path}");
    }
    for path in [
        "/files/..",
        "/files/.",
        "/files/%2e%2e",
        "/files/a%2fb",
        "/files/a%5Cb",
        "/files/a;b",
        "/static/../v1/keys",
        "/static//x",
        "/static/a/./b",
        "/static/a/..",
        "/static/%2E%2e/x",
        "/static/a%252fb",
        "/static/",
        "/files/",
    ] {
        assert_eq!(openness(Method::GET, path), Openness::Guarded, "{path}");
    }
}

#[test]
fn a_restriction_holds_for_every_spelling() {
    for path in [
        "/v1/keys",
        "/v1/keys/",
        "/V1/Keys",
        "//v1//keys",
        "/v1/./keys",
        "/v1/x/../keys",
        "/v1/%6beys",
        "/v1%2fkeys",
        "/v1\\keys",
        "/v1/keys;x=1",
        "/v1;a/keys",
        "/v1/%256beys",
        "/%2e/v1/keys",
        "/../v1/keys",
    ] {
        assert!(needs_admin(Method::POST, path), "{path}");
        let dotted = path.contains("./") || path.contains("%2e");
        assert_eq!(needs_admin(Method::GET, path), dotted, "{path}");
    }
    for path in ["/v1/keys/1", "/v1/KEYS/1", "/v1/keys/%31/", "/v1/keys//1"] {
        assert!(needs_admin(Method::DELETE, path), "{path}");
    }
}

#[test]
fn a_guarded_path_below_a_public_pattern_stays_guarded_in_every_spelling() {
    for path in ["/static/private", "/static/Private", "/static/private/", "/static/%70rivate"] {
        assert_eq!(openness(Method::GET, path), Openness::Guarded, "{path}");
        assert!(needs_admin(Method::GET, path), "{path}");
    }
}

#[test]
fn a_rewritten_request_is_never_public_and_keeps_the_restrictions_of_both_paths() {
    let table = table();
    assert_eq!(table.rule(&Method::GET, "/api/status", Some("/other")).openness, Openness::Guarded);
    let ruling = table.rule(&Method::POST, "/x/%2e%2e/v1/keys", Some("/other"));
    assert!(table.routes(&ruling).any(|route| route.required_scopes().is_some()));
}

#[test]
fn mistakes_in_the_table_are_named() {
    let guarded = |pattern: &str| entry(Openness::Guarded, Method::GET, pattern);
    for (entries, problem) in [
        (vec![guarded("no-slash")], "must begin with a slash"),
        (vec![guarded("/a?b=c")], "no queries"),
        (vec![guarded("/a/{")], "/a/{"),
        (vec![guarded("/a/{b}"), guarded("/a/{c}")], "/a/{c}"),
        (vec![guarded("/a"), guarded("/a")], "two entries"),
        (vec![Entry { route: Route::new().scopes([]), ..guarded("/a") }], "empty list of scopes"),
        (vec![Entry { methods: [].into(), ..guarded("/a") }], "no method"),
    ] {
        let error = RouteTable::new(entries, Route::new()).unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }
}
