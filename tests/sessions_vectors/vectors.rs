//! Reading vectors, and judging their cookies by a whole layer.
//!
//! The folder is `tests/vectors`, unless the environment variable `TEST_VECTORS` names another.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use http::{Request, Response, StatusCode};
use serde_json::Value;
use tower::{Layer, ServiceExt};
use tower_api_key::clock::Timestamp;
use tower_api_key::session::{
    PresentedSession, Session, SessionAnswer, SessionLocation, SessionProblem, SessionResolver,
};
use tower_api_key::source::MemoryKeys;
use tower_api_key::testing::TestClock;
use tower_api_key::{ApiKeyLayer, AuthContext};

pub(crate) fn path(file: &str) -> PathBuf {
    std::env::var_os("TEST_VECTORS").map_or_else(|| own(file), |folder| PathBuf::from(folder).join(file))
}

/// A file of this project's own, whatever folder the vectors are to come from.
pub(crate) fn own(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(file)
}

pub(crate) fn cases(file: &str) -> Vec<Value> {
    let cases = read(&path(file));
    assert!(!cases.is_empty(), "{file} holds no case");
    cases
}

fn read(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut vectors: Value = serde_json::from_str(&text).unwrap();
    let Value::Array(cases) = vectors["cases"].take() else { panic!("{} has no list of cases", path.display()) };
    cases
}

/// The case of this id, of this project's own.
pub(crate) fn case(file: &str, id: &str) -> Value {
    read(&own(file)).into_iter().find(|case| case["id"] == id).unwrap_or_else(|| panic!("{file} has no case {id}"))
}

pub(crate) fn text<'a>(case: &'a Value, name: &str) -> Option<&'a str> {
    case[name].as_str()
}

pub(crate) fn now(case: &Value) -> Timestamp {
    Timestamp::from_unix_seconds(case["now"].as_i64().expect("a case has a `now`"))
}

/// The value of a cookie that a case sends whole.
pub(crate) fn presented(case: &Value) -> PresentedSession {
    let name = text(case, "cookie_name").unwrap();
    let mut pairs = text(case, "cookie_header").unwrap().split(';').filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(found, _)| *found == name).unwrap();
    PresentedSession::cookie(name, value)
}

/// What is wrong with what a layer makes of the headers of a case, twice; `None` if it is as the case expects.
pub(crate) async fn judge(
    case: &Value,
    resolver: impl SessionResolver,
    says_the_same: impl Fn(&Session) -> bool,
) -> Option<String> {
    let answers = Arc::new(Mutex::new(Vec::new()));
    let auth = ApiKeyLayer::builder(MemoryKeys::new())
        .sessions(Recorded { resolver, answers: Arc::clone(&answers) })
        .clock(TestClock::at(now(case)))
        .build()
        .unwrap();
    for _ in 0..2 {
        let session = session_behind(&auth, case).await;
        let answer = answers.lock().unwrap().drain(..).next_back();
        if let Some(wrong) = wrong(case, session.as_ref(), answer.as_ref(), &says_the_same) {
            return Some(format!("{}: {wrong}: {answer:?}, expected {}", case["id"], case["expect"]));
        }
    }
    None
}

fn wrong(
    case: &Value,
    session: Option<&Session>,
    answer: Option<&SessionAnswer>,
    says_the_same: impl Fn(&Session) -> bool,
) -> Option<&'static str> {
    use SessionProblem::{Expired, Misdirected, NotYetValid, Unknown};

    match (case["expect"]["valid"].as_bool(), session) {
        (None, _) => return None,
        (Some(true), None) => return Some("refused"),
        (Some(false), Some(_)) => return Some("let in"),
        (Some(true), Some(session)) => return (!says_the_same(session)).then_some("it says something else"),
        (Some(false), None) => {}
    }
    let right = match (text(&case["expect"], "reason"), answer) {
        (Some("missing"), answer) => answer.is_none(),
        (Some("expired"), Some(SessionAnswer::Invalid(problem))) => *problem == Expired,
        (Some("not_yet_valid"), Some(SessionAnswer::Invalid(problem))) => *problem == NotYetValid,
        (Some("unknown_session"), Some(SessionAnswer::Invalid(problem))) => *problem == Unknown,
        (Some("version_mismatch"), Some(SessionAnswer::Invalid(problem))) => *problem == Misdirected,
        (_, Some(SessionAnswer::Invalid(problem))) => ![Expired, NotYetValid, Unknown, Misdirected].contains(problem),
        _ => false,
    };
    (!right).then_some("refused for another reason")
}

/// Who is signed in, as the service behind the layer learns it.
async fn session_behind(auth: &ApiKeyLayer, case: &Value) -> Option<Session> {
    let mut request = Request::get("/").body(()).unwrap();
    for (name, header) in [("cookie", "cookie_header"), ("authorization", "authorization_header")] {
        if let Some(value) = text(case, header) {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
    }
    let inner = tower::service_fn(async |request: Request<()>| {
        let context: AuthContext = request.extensions().get().cloned().unwrap();
        let mut response = Response::new(http_body_util::Full::<bytes::Bytes>::default());
        response.extensions_mut().insert(context);
        Ok::<_, Infallible>(response)
    });
    let response = auth.layer(inner).oneshot(request).await.unwrap();
    let context = response.extensions().get::<AuthContext>();
    assert_eq!(context.is_some(), response.status() == StatusCode::OK);
    assert!(context.is_some() || response.status() == StatusCode::UNAUTHORIZED, "{}: {response:?}", case["id"]);
    context.and_then(AuthContext::session).cloned()
}

/// A resolver, and what it answered.
struct Recorded<R> {
    resolver: R,
    answers: Arc<Mutex<Vec<SessionAnswer>>>,
}

impl<R: SessionResolver> SessionResolver for Recorded<R> {
    type Error = R::Error;

    fn name(&self) -> &str {
        self.resolver.name()
    }

    fn locations(&self) -> Vec<SessionLocation> {
        self.resolver.locations()
    }

    async fn resolve(&self, presented: &PresentedSession, now: Timestamp) -> Result<SessionAnswer, R::Error> {
        let answer = self.resolver.resolve(presented, now).await?;
        self.answers.lock().unwrap().push(answer.clone());
        Ok(answer)
    }

    fn resolve_now(&self, presented: &PresentedSession, now: Timestamp) -> Option<SessionAnswer> {
        let answer = self.resolver.resolve_now(presented, now)?;
        self.answers.lock().unwrap().push(answer.clone());
        Some(answer)
    }
}

pub(crate) fn report(file: &str, count: usize, failures: &[String]) {
    assert!(failures.is_empty(), "{file}: {} of {count} cases failed:\n{}", failures.len(), failures.join("\n"));
}
