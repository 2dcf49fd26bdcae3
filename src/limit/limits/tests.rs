use super::*;
use crate::limit::{Algorithm, MemoryRateLimiter, ResetFormat};

fn limits() -> Limits {
    Limits::new(MemoryRateLimiter::with_capacity(100))
}

fn texts(errors: &[LimitsError]) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

fn names(charges: &Charges<'_>) -> Vec<String> {
    charges.iter().map(|charge| format!("{:?} {}", charge.subject.kind(), charge.quota)).collect()
}

fn key_facts() -> LimitFacts<'static> {
    LimitFacts { client: Some(Subject::key("k")), ..LimitFacts::default() }
}

#[test]
fn every_mistake_is_named_with_its_setting() {
    let wrong = limits()
        .per_key(Quota::per_hour(0))
        .per_key(Quota::per_hour(5))
        .per_address(Quota::per_minute(5).burst(2))
        .plan("pro", [Quota::UNLIMITED, Quota::per_day(5)])
        .plan("empty", [])
        .failures(Quota::per_hour(1).named("a b"));
    assert_eq!(
        texts(&wrong.validate()),
        [
            "per_key \"hourly\": the limit must be at least 1 (unlimited is written Quota::UNLIMITED)",
            "per_key \"hourly\": two quotas have this name; give each one of its own with Quota::named",
            "per_address \"per-minute\": a burst needs Algorithm::Gcra",
            "failures \"a b\": the name must be 1 to 64 characters out of A-Z a-z 0-9 _ . -",
            "plan \"empty\": the plan has no quotas (unlimited is written Quota::UNLIMITED)",
            "plan \"pro\": Quota::UNLIMITED stands beside other quotas",
        ]
    );
    let right = limits().per_key(Quota::per_hour(5)).per_key(Quota::per_second(1)).plan("pro", [Quota::UNLIMITED]);
    assert_eq!(right.validate(), []);
}

#[test]
fn a_cost_that_can_never_be_met_is_a_mistake() {
    let limits = limits()
        .per_key(Quota::per_hour(100))
        .per_owner(Quota::per_hour(100).algorithm(Algorithm::Gcra).burst(4))
        .plan("pro", [Quota::UNLIMITED])
        .failures(Quota::per_hour(1));
    assert_eq!(limits.validate_cost("POST /v1/generate", 4), []);
    assert_eq!(
        texts(&limits.validate_cost("POST /v1/generate", 5)),
        ["POST /v1/generate: a cost of 5 can never be met (per_owner, 100 requests per hour)"]
    );
    assert_eq!(limits.validate_cost("POST /v1/generate", 101).len(), 2);
}

#[test]
fn a_quota_on_the_record_beats_its_plans_which_beats_the_default() {
    let limits =
        limits().per_key(Quota::per_hour(1)).plan("pro", [Quota::per_hour(2)]).plan("free", [Quota::UNLIMITED]);
    let own = [Quota::per_hour(3)];
    let facts = |plan, quotas| LimitFacts { plan, quotas, ..key_facts() };
    type Case<'a> = (Option<&'a str>, Option<&'a [Quota]>, &'a [&'a str]);
    let cases: [Case<'_>; 7] = [
        (None, None, &["Key 1 request per hour"]),
        (Some("pro"), None, &["Key 2 requests per hour"]),
        (Some("pro"), Some(&own), &["Key 3 requests per hour"]),
        (Some("pro"), Some(&[]), &["Key 2 requests per hour"]),
        (Some("unheard of"), None, &["Key 1 request per hour"]),
        (Some("free"), None, &[]),
        (Some("pro"), Some(&[Quota::UNLIMITED]), &[]),
    ];
    for (plan, quotas, expected) in cases {
        assert_eq!(names(&limits.charges(&facts(plan, quotas))), expected, "{plan:?} {quotas:?}");
    }
}

#[test]
fn every_kind_of_subject_is_charged_the_cost_of_the_request() {
    let limits = limits()
        .per_key(Quota::per_hour(1))
        .per_owner(Quota::per_hour(2))
        .per_organization(Quota::per_hour(3))
        .per_address(Quota::per_hour(4));
    let quotas = [Quota::per_hour(5)];
    let facts = LimitFacts {
        owner: Some(Subject::owner("o")),
        organization: Some(Subject::organization("org")),
        address: Some(IpAddr::from([192, 0, 2, 1])),
        route: Some(RouteQuotas { route: Subject::route("/a"), quotas: &quotas }),
        cost: 7,
        ..key_facts()
    };
    let charges = limits.charges(&facts);
    let kinds = [
        "Key 1 request",
        "Owner 2 requests",
        "Organization 3 requests",
        "Address 4 requests",
        "ClientOnRoute 5 requests",
    ];
    assert_eq!(names(&charges), kinds.map(|kind| format!("{kind} per hour")));
    assert!(charges.iter().all(|charge| charge.cost == 7));

    let stranger = LimitFacts { client: None, owner: None, organization: None, ..facts };
    assert_eq!(
        names(&limits.charges(&stranger)),
        ["Address 4 requests per hour", "AddressOnRoute 5 requests per hour"]
    );
    let nobody = LimitFacts { address: None, ..stranger };
    assert_eq!(names(&limits.charges(&nobody)), ["Route 5 requests per hour"]);
}

#[test]
fn failures_count_by_address_apart_from_requests() {
    let limits = limits().per_address(Quota::per_hour(2)).failures(Quota::per_hour(2));
    let now = Timestamp::UNIX_EPOCH;
    let (guesser, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
    for _ in 0..2 {
        assert!(limits.peek_now(&limits.failure_charges(guesser), now).unwrap().is_admitted());
        assert!(limits.take_now(&limits.failure_charges(guesser), now).unwrap().is_admitted());
    }
    let refused = limits.peek_now(&limits.failure_charges(guesser), now).unwrap();
    assert_eq!((refused.is_admitted(), refused.retry_after_seconds()), (false, Some(3_600)));
    assert!(limits.peek_now(&limits.failure_charges(other), now).unwrap().is_admitted());
    let facts = LimitFacts { address: Some(guesser), ..LimitFacts::default() };
    assert!(limits.take_now(&limits.charges(&facts), now).unwrap().is_admitted());
}

#[test]
fn each_limit_is_reported_only_when_the_headers_list_each() {
    let now = Timestamp::UNIX_EPOCH;
    let plain = limits().per_key(Quota::per_hour(2)).headers(LimitHeaders::new().reset(ResetFormat::EpochSeconds));
    assert!(plain.take_now(&plain.charges(&key_facts()), now).unwrap().each().is_none());
    let listed = limits().per_key(Quota::per_hour(2)).headers(LimitHeaders::new().ietf(true));
    assert_eq!(listed.take_now(&listed.charges(&key_facts()), now).unwrap().each().unwrap().len(), 1);
}
