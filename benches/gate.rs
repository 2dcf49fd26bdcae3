//! What the layer adds to a request on plain tower, against a floor and against peers, in one run:
//! `cargo bench --bench gate`.

mod support;

use std::convert::Infallible;
use std::hint::black_box;

use axum::body::Body;
use http::{Request, Response};
use support::fixture::{Asked, Bare, Fixture, is_refused};
use support::floor::{self, Floor};
use support::rounds::{Case, Cost, finish, measure};
use support::{peers, secret_of};
use tower::{Layer, Service};
use tower_http::validate_request::ValidateRequestHeaderLayer;

const KEYS: usize = 1_000;
const ROUNDS: usize = 25;
const BATCHES: usize = 60;

/// The case that all others are compared with.
const BARE: usize = 0;

fn main() {
    let fixture = Fixture::new(KEYS);
    let good = Asked::get("/v1/items", secret_of(&fixture));
    let unknown = Asked::get("/v1/items", support::fixture::secret().expose_secret());
    let missing = Asked::get("/v1/items", "");
    let keys = floor::keys(fixture.secrets.iter().map(String::as_str));
    let mut cases = vec![case("bare service", Bare::<Body>::new(), &good)];
    for (name, full, asked) in [
        ("floor: accepted", false, &good),
        ("floor: accepted, limit", true, &good),
        ("floor: unknown", false, &unknown),
        ("floor: missing", false, &missing),
    ] {
        cases.push(case(name, Floor::new(Bare::<Body>::new(), keys.clone(), full), asked));
    }
    for setting in fixture.settings() {
        cases.push(case(setting.name, setting.layer.layer(Bare::<Body>::new()), &setting.asked));
    }
    let literal = ValidateRequestHeaderLayer::has_header_value("x-api-key", secret_of(&fixture));
    let literal = literal.expect("it is a header").layer(Bare::<Body>::new());
    let login = tokio::runtime::Builder::new_current_thread().build().expect("there is a runtime");
    let (axum_login, signed_in) = login.block_on(peers::axum_login());
    cases.push(case("tower-http: one literal key", literal, &good));
    cases.push(case(
        "from_fn, a good one: accepted",
        peers::good_from_fn(&fixture.secrets, Bare::<Body>::new()),
        &good,
    ));
    cases.push(case(
        "from_fn, a good one: unknown",
        peers::good_from_fn(&fixture.secrets, Bare::<Body>::new()),
        &unknown,
    ));
    cases.push(case(
        "by hand, the usual way: accepted",
        peers::usual_from_fn(&fixture.secrets, Bare::<Body>::new()),
        &good,
    ));
    cases.push(case(
        "by hand, the usual way: unknown",
        peers::usual_from_fn(&fixture.secrets, Bare::<Body>::new()),
        &unknown,
    ));
    cases.push(case("tower_governor", peers::governor(), &good));
    cases.push(case("axum-login: a session", axum_login, &missing.clone().headers(signed_in)));

    let costs = measure(&mut cases, ROUNDS, BATCHES);
    print(&costs);
}

fn case<S, R>(name: &str, mut service: S, asked: &Asked) -> Case
where
    S: Service<Request<Body>, Response = Response<R>, Error = Infallible> + 'static,
    R: 'static,
{
    let asked = asked.clone();
    // Takes the only permit of the key that is limited.
    drop(finish(service.call(asked.request())));
    let answer = finish(service.call(asked.request())).unwrap_or_else(|never| match never {});
    assert_eq!(answer.status().is_success(), !is_refused(name), "{name}");
    Case::new(
        name,
        BARE,
        move || asked.request(),
        move |request| {
            drop(black_box(finish(service.call(request))));
        },
    )
}

fn print(costs: &[Cost]) {
    let added = |name: &str| costs.iter().find(|cost| cost.name == name).map_or(f64::NAN, |cost| cost.added);
    let (key, full) = (added("floor: accepted"), added("floor: accepted, limit"));
    println!("{:<34} {:>9} {:>9} {:>8} {:>6} {:>12}", "", "of floor", "of full", "ns", "±", "allocations");
    for Cost { name, added, spread, allocations } in costs {
        let (of_key, of_full) = (added / key, added / full);
        println!("{name:<34} {of_key:>9.2} {of_full:>9.2} {added:>8.0} {spread:>6.0} {allocations:>12}");
    }
}
