//! What the layer adds to a request in axum, around a router and as its layer: `cargo bench --bench router`.

mod support;

use std::convert::Infallible;
use std::hint::black_box;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{Request, Response};
use support::fixture::{Asked, Fixture, Setting};
use support::floor::{self, Floor};
use support::rounds::{Case, finish, measure};
use support::{peers, secret_of};
use tower::Service;
use tower_api_key::AuthContext;

fn main() {
    let fixture = Fixture::new(1_000);
    let good = Asked::get("/v1/items", secret_of(&fixture));
    let keys = floor::keys(fixture.secrets.iter().map(String::as_str));
    let router = || Router::new().route("/v1/items", get(|_: Option<AuthContext>| async { "ok" }));
    let mut cases = vec![
        case("bare router", router(), &good),
        case("floor around it", Floor::new(router(), keys.clone(), false), &good),
        case("floor around it, limit", Floor::new(router(), keys, true), &good),
    ];
    for Setting { name, layer, asked } in fixture.settings() {
        cases.push(case(&format!("{name}: protect"), layer.protect(router()), &asked));
        cases.push(case(&format!("{name}: layer"), router().layer(layer), &asked));
    }
    cases.push(case("from_fn, a good one", peers::good_from_fn(&fixture.secrets, router()), &good));
    cases.push(case("by hand, the usual way", peers::usual_from_fn(&fixture.secrets, router()), &good));
    println!("{:<40} {:>8} {:>6} {:>12}", "", "ns", "±", "allocations");
    for cost in measure(&mut cases, 25, 40) {
        println!("{:<40} {:>8.0} {:>6.0} {:>12}", cost.name, cost.added, cost.spread, cost.allocations);
    }
}

fn case<S>(name: &str, mut service: S, asked: &Asked) -> Case
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + 'static,
{
    let asked = asked.clone();
    Case::new(name, 0, move || asked.request(), move |request| drop(black_box(finish(service.call(request)))))
}
