//! Whether time tells what it must not: `cargo bench --bench timing --features jwt,sessions-authjs,sessions-better-auth`.
//!
//! As dudect does it (Reparaz, Balasch, Verbauwhede: "Dude, is my code constant time?", 2017): two classes of inputs are
//! measured in random order, and Welch's t-test says whether their times differ, on all samples and on those under
//! several bounds, since what takes long was mostly interrupted. |t| over 10 is a difference that can be measured. Each
//! class is several inputs, so that what is told apart is a class and not where an input happens to lie. That is not enough
//! for a nanosecond: where all of them lie differs from process to process. So several processes measure, and a difference is
//! one that each of them has found, with the same sign.
//!
//! The first pair is a control: a comparison that stops at the first difference, which has to be found. The program ends
//! with 1 if one of the others is, and with 2 if the control is not, since the others say nothing then. A number as its
//! argument is how many samples are taken of a pair, 100 000 unless given; with four times as many, t doubles if there is a
//! difference.

use std::convert::Infallible;
use std::hint::black_box;
use std::pin::pin;
use std::process::{Command, ExitCode};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tower::{Layer, Service};
use tower_api_key::ApiKeyLayer;
use tower_api_key::clock::Timestamp;
use tower_api_key::identity::{IdentityVerifier, X_IDENTITY, X_IDENTITY_SIGNATURE};
use tower_api_key::key::{DigestAlgorithm, Environment, KeyDigest, KeyFormat, KeyHasher, KeyId, KeyRecord};
use tower_api_key::session::{
    AuthJsSessions, BetterAuthCookieCache, BetterAuthSessions, JwtAlgorithm, JwtKeys, JwtSessions, PresentedSession,
    SessionAnswer, SessionResolver,
};
use tower_api_key::source::{EnvKeys, MemoryKeys};

/// A difference that can be measured.
const BOUND: f64 = 10.0;
/// How many processes measure.
const PROCESSES: usize = 3;
/// Inputs of each class.
const INPUTS: usize = 16;
const SECRET: &str = "a-secret-of-thirty-two-bytes-and-more";
const NOW: i64 = 1_795_000_000;

/// Two classes of inputs, and what is done with them.
struct Pair {
    name: &'static str,
    /// How often that is done in a sample: so often that the clock can tell.
    calls: u32,
    /// How long a sample takes, in nanoseconds: of class 0 or 1, the input of this number.
    sample: Box<dyn Fn(usize, usize) -> f64>,
}

/// `make` copies an input into memory that it shares with all others, since where it lies can be told, too.
fn pair<I: 'static, C>(
    name: &'static str,
    calls: u32,
    classes: [[I; INPUTS]; 2],
    make: impl Fn(&I) -> C + 'static,
    call: impl Fn(&C, usize, usize) + 'static,
) -> Pair {
    let sample = move |class: usize, number: usize| {
        let copy = make(&classes[class][number]);
        let begun = Instant::now();
        for _ in 0..calls {
            call(black_box(&copy), class, number);
        }
        begun.elapsed().as_nanos() as f64
    };
    Pair { name, calls, sample: Box::new(sample) }
}

fn main() -> ExitCode {
    let arguments: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let samples = arguments.first().copied().unwrap_or(100_000);
    if let Some(seed) = arguments.get(1) {
        for pair in pairs() {
            let (median, t) = measure(&pair, samples, *seed as u64);
            println!("{median} {t}");
        }
        return ExitCode::SUCCESS;
    }
    let runs: Vec<_> = (0..PROCESSES).map(|seed| another(samples, seed)).collect();
    let mut found = 0;
    for (number, pair) in pairs().iter().enumerate() {
        let ts: Vec<f64> = runs.iter().map(|run| run[number].1).collect();
        let (median, is_found) = (runs[0][number].0, common(&ts).abs() > BOUND);
        let verdict = if is_found { "told apart" } else { "not told apart" };
        let ts: Vec<_> = ts.iter().map(|t| format!("{t:9.2}")).collect();
        println!("{:55} {median:8.1} ns  t {}  {verdict}", pair.name, ts.join(" "));
        if number == 0 && !is_found {
            println!("the control was not found: take more samples");
            return ExitCode::from(2);
        }
        found += usize::from(number > 0 && is_found);
    }
    if found == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What another process measures: for each pair the median in nanoseconds, and t.
fn another(samples: usize, seed: usize) -> Vec<(f64, f64)> {
    let program = std::env::current_exe().unwrap_or_else(|error| panic!("{error}"));
    let output = Command::new(program).args([samples, seed].map(|number| number.to_string())).output();
    let output = output.unwrap_or_else(|error| panic!("{error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let numbers =
        |line: &str| line.split_once(' ').and_then(|(one, other)| Some((one.parse().ok()?, other.parse().ok()?)));
    let measured: Vec<_> = String::from_utf8_lossy(&output.stdout).lines().filter_map(numbers).collect();
    assert_eq!(measured.len(), pairs().len(), "{errors}");
    measured
}

/// The t that is nearest to 0; 0 if they are of both signs.
fn common(ts: &[f64]) -> f64 {
    let nearest = ts.iter().copied().min_by(|one, other| one.abs().total_cmp(&other.abs())).unwrap_or_default();
    if ts.iter().all(|t| t.signum() == nearest.signum()) { nearest } else { 0.0 }
}

/// A comparison that stops at the first difference: at byte 0, or at byte 31.
fn control() -> Pair {
    let secret = random_bytes(1);
    pair("control: early exit", 64, digests(&secret), Clone::clone, move |other, _, _| {
        black_box(black_box(&secret).iter().zip(other).all(|(one, other)| black_box(one == other)));
    })
}

/// The control comes first.
fn pairs() -> Vec<Pair> {
    let mut pairs = vec![control(), comparison(), guesses(), lengths(), unknown()];
    pairs.extend([token(), auth_js(), better_auth(), identity()]);
    pairs
}

fn comparison() -> Pair {
    let secret = random_bytes(1);
    let of = |bytes| KeyDigest::new(DigestAlgorithm::Sha256, bytes);
    let ours = of(secret);
    pair(
        "digests: first byte, last byte",
        64,
        digests(&secret),
        move |bytes| of(*bytes),
        move |other, _, _| {
            black_box(black_box(&ours) == other);
        },
    )
}

/// The same digest, but for its first or its last byte.
fn digests(secret: &[u8; 32]) -> [[[u8; 32]; INPUTS]; 2] {
    [0, 31].map(|at| {
        std::array::from_fn(|number| {
            let mut bytes = *secret;
            bytes[at] ^= number as u8 + 1;
            bytes
        })
    })
}

/// Keys that share nothing with the one of the environment, or all but the last character.
fn guesses() -> Pair {
    let key = text(1, 40);
    let auth = ApiKeyLayer::new(EnvKeys::from_value("KEY", &key).unwrap_or_else(|error| panic!("{error}")));
    let [_, nearly] = changed(&key, [0, 39]);
    let classes = [std::array::from_fn(|number| text(100 + number as u64, 40)), nearly];
    requests("a key of the environment: nothing right, all but one", vec![[auth.clone(), auth]], classes)
}

/// The same guesses against short and against long keys of the environment, several of each.
fn lengths() -> Pair {
    let auth = |seed: usize, length| {
        let keys = EnvKeys::from_value("KEY", &text(seed as u64, length)).unwrap_or_else(|error| panic!("{error}"));
        ApiKeyLayer::new(keys)
    };
    let layers = (0..INPUTS).map(|seed| [auth(seed, 32), auth(1_000 + seed, 500)]).collect();
    let guesses: [String; INPUTS] = std::array::from_fn(|number| text(100 + number as u64, 40));
    requests("a key of the environment: short, long", layers, [guesses.clone(), guesses])
}

/// Keys that nobody has, or those of a store with one character changed.
fn unknown() -> Pair {
    let keys = MemoryKeys::builder().format(KeyFormat::text()).build();
    let known: [String; INPUTS] = std::array::from_fn(|number| text(number as u64, 48));
    for (number, key) in known.iter().enumerate() {
        let id = KeyId::new(format!("key_{number}")).unwrap_or_else(|error| panic!("{error}"));
        let mut record = KeyRecord::new(id, KeyHasher::sha256().digest(key));
        record.environment = Some(Environment::LIVE);
        keys.insert(record).unwrap_or_else(|error| panic!("{error}"));
    }
    let auth = ApiKeyLayer::new(keys);
    let wrong = known.map(|key| format!("{}!", &key[..47]));
    let unknown = std::array::from_fn(|number| text(500 + number as u64, 48));
    requests("a key of a store: unknown, wrong", vec![[auth.clone(), auth]], [unknown, wrong])
}

fn requests(name: &'static str, layers: Vec<[ApiKeyLayer; 2]>, classes: [[String; INPUTS]; 2]) -> Pair {
    pair(name, 1, classes, Clone::clone, move |key, class, number| {
        let request = Request::get("/").header("x-api-key", key).body(());
        let request = request.unwrap_or_else(|error| panic!("{error}"));
        let mut service = layers[number % layers.len()][class].layer(tower::service_fn(inner));
        match pin!(service.call(black_box(request))).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(response)) => assert_eq!(response.status(), 401),
            _ => panic!("the source is in memory"),
        }
    })
}

async fn inner(_: Request<()>) -> Result<Response<Empty<Bytes>>, Infallible> {
    Ok(Response::new(Empty::new()))
}

fn token() -> Pair {
    let builder = JwtSessions::builder(JwtKeys::secret(SECRET)).algorithms([JwtAlgorithm::Hs256]);
    let people = builder.issuer("issuer").audience("audience").verified_tokens(0).build();
    let claims = json!({ "iss": "issuer", "aud": "audience", "sub": "user", "exp": 4_102_444_800_i64 });
    let token =
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(SECRET.as_bytes()));
    let token = token.unwrap_or_else(|error| panic!("{error}"));
    let end = token.len();
    let people = people.unwrap_or_else(|error| panic!("{error}"));
    let classes = changed(&token, [end - 43, end - 2]);
    sessions("a token's signature: first byte, last byte", people, classes, PresentedSession::bearer, NOW)
}

fn auth_js() -> Pair {
    let case = case(include_str!("../tests/vectors/authjs_v5.json"), "plain/valid");
    let (secret, cookie) = (field(&case, "secret"), value(&case));
    let people = AuthJsSessions::new(secret).unwrap_or_else(|error| panic!("{error}"));
    let start = cookie.rfind('.').unwrap_or_default() + 1;
    let classes = changed(&cookie, [start, cookie.len() - 2]);
    let name = field(&case, "cookie_name").to_owned();
    let make = move |text| PresentedSession::cookie(&name, text);
    sessions("a tag of Auth.js: first byte, last byte", people, classes, make, NOW)
}

fn better_auth() -> Pair {
    let case = case(include_str!("../tests/vectors/better_auth_cookie_cache.json"), "jwt/valid");
    let (secret, cookie) = (field(&case, "secret"), value(&case));
    let people = BetterAuthSessions::builder(secret).cookie_cache(BetterAuthCookieCache::jwt()).build();
    let classes = changed(&cookie, [cookie.rfind('.').unwrap_or_default() + 1, cookie.len() - 2]);
    let name = field(&case, "cookie_name").to_owned();
    let make = move |text| PresentedSession::cookie(&name, text);
    let people = people.unwrap_or_else(|error| panic!("{error}"));
    let now = case["now"].as_i64().unwrap_or(NOW);
    sessions("a signature of Better Auth: first byte, last byte", people, classes, make, now)
}

fn sessions(
    name: &'static str,
    people: impl SessionResolver,
    classes: [[String; INPUTS]; 2],
    make: impl Fn(String) -> PresentedSession + 'static,
    now: i64,
) -> Pair {
    let make = move |text: &String| make(text.clone());
    pair(name, 1, classes, make, move |session, _, _| {
        let answer = people.resolve_now(session, Timestamp::from_unix_seconds(now));
        assert!(matches!(answer, Some(SessionAnswer::Invalid(_))), "{answer:?}");
    })
}

fn identity() -> Pair {
    let verifier = IdentityVerifier::new(SECRET).unwrap_or_else(|error| panic!("{error}"));
    let said = "eyJtZXRob2QiOiJhcGlfa2V5In0";
    let mac = <hmac::Hmac<sha2::Sha256> as hmac::KeyInit>::new_from_slice(SECRET.as_bytes());
    let mac = hmac::Mac::chain_update(mac.unwrap_or_else(|error| panic!("{error}")), said);
    let signature =
        base64::Engine::encode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, hmac::Mac::finalize(mac).into_bytes());
    let make = |signature: &String| {
        let mut headers = http::HeaderMap::new();
        let value = |text: &str| http::HeaderValue::try_from(text).unwrap_or_else(|error| panic!("{error}"));
        headers.insert(X_IDENTITY, value(said));
        headers.insert(X_IDENTITY_SIGNATURE, value(signature));
        headers
    };
    let classes = changed(&signature, [0, signature.len() - 2]);
    pair("a signed identity: first byte, last byte", 1, classes, make, move |headers, _, _| {
        assert!(verifier.verify(headers, Timestamp::from_unix_seconds(NOW)).is_err());
    })
}

/// The text with another character at the one place, or at the other.
fn changed(text: &str, places: [usize; 2]) -> [[String; INPUTS]; 2] {
    places.map(|at| {
        let mut others = (b'a'..=b'z').filter(|letter| *letter != text.as_bytes()[at]);
        std::array::from_fn(|_| {
            let letter = char::from(others.next().unwrap_or(b'-'));
            format!("{}{letter}{}", &text[..at], &text[at + 1..])
        })
    })
}

fn case(vectors: &str, id: &str) -> Value {
    let vectors: Value = serde_json::from_str(vectors).unwrap_or_else(|error| panic!("{error}"));
    let cases = vectors["cases"].as_array().cloned().unwrap_or_default();
    cases.into_iter().find(|case| case["id"] == id).unwrap_or_else(|| panic!("{id} is there"))
}

fn field<'a>(case: &'a Value, name: &str) -> &'a str {
    case[name].as_str().unwrap_or_else(|| panic!("a case has {name}"))
}

/// The value of the cookie of a case.
fn value(case: &Value) -> String {
    let cookies = field(case, "cookie_header").split("; ").filter_map(|cookie| cookie.split_once('='));
    cookies.filter(|(name, _)| *name == field(case, "cookie_name")).map(|(_, value)| value.to_owned()).collect()
}

/// SplitMix64: the same numbers in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }
}

fn random_bytes(seed: u64) -> [u8; 32] {
    let mut numbers = Numbers(seed);
    std::array::from_fn(|_| numbers.next() as u8)
}

fn text(seed: u64, length: usize) -> String {
    let mut numbers = Numbers(seed);
    (0..length).map(|_| char::from(b'a' + (numbers.next() % 26) as u8)).collect()
}

/// Takes samples of both classes in random order, and returns their median in nanoseconds and the t that is farthest from 0.
fn measure(pair: &Pair, samples: usize, seed: u64) -> (f64, f64) {
    let mut numbers = Numbers(seed);
    let mut times: [Vec<f64>; 2] = [Vec::with_capacity(samples), Vec::with_capacity(samples)];
    for sample in 0..samples + samples / 10 {
        let number = numbers.next();
        let (class, input) = ((number & 1) as usize, (number >> 1) as usize % INPUTS);
        let time = (pair.sample)(class, input);
        // The first tenth warms up.
        if sample >= samples / 10 {
            times[class].push(time);
        }
    }
    let mut all: Vec<f64> = times.iter().flatten().copied().collect();
    all.sort_by(f64::total_cmp);
    let bound = |part: f64| all[((all.len() - 1) as f64 * part) as usize];
    let parts = [0.5, 0.75, 0.9, 0.95, 0.99, 1.0];
    let t =
        parts.map(|part| welch(&times, bound(part))).into_iter().max_by(|one, other| one.abs().total_cmp(&other.abs()));
    (bound(0.5) / f64::from(pair.calls), t.unwrap_or_default())
}

/// Welch's t of the times that are at most `bound`; 0 if a class has too few.
fn welch(times: &[Vec<f64>; 2], bound: f64) -> f64 {
    let [one, other] = times.each_ref().map(|class| {
        let (mut count, mut mean, mut squares) = (0.0, 0.0, 0.0);
        for time in class.iter().filter(|time| **time <= bound) {
            count += 1.0;
            let off = time - mean;
            mean += off / count;
            squares += off * (time - mean);
        }
        (mean, squares / (count - 1.0) / count)
    });
    let error = (one.1 + other.1).sqrt();
    if error > 0.0 { (one.0 - other.0) / error } else { 0.0 }
}
