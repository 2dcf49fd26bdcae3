//! Requests a second over loopback, of servers that guard and servers that do not: `cargo bench --bench end_to_end`.
//!
//! Each server runs on one processor and wrk, the load generator, on another. All are measured in turn in each of several
//! rounds; the table has the medians, as parts of the bare server's. Needs `wrk` and `taskset`; nginx is measured if it
//! is installed, and Better Auth if `BETTER_AUTH` names a folder in which npm has installed `better-auth` and
//! `@better-auth/api-key`.

#[path = "../support/mod.rs"]
mod support;

mod others;

use std::convert::Infallible;
use std::env;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::get;
use support::fixture::Fixture;
use support::floor::{self, Floor};
use support::peers;
use support::rounds::quantile;
use tower::Service;

const ROUNDS: usize = 5;
const SECONDS: u32 = 2;
const CONNECTIONS: u32 = 32;
/// What every server knows its callers by.
const SECRET: &str = "ak_live_00000000000000000000000000000000001bTZlM";

/// A server that runs. Ended when dropped.
#[derive(Debug)]
struct Server {
    name: String,
    child: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const OURS: [(&str, &str); 7] = [
    ("bare", "bare axum"),
    ("floor", "floor, with a limit"),
    ("key", "the layer: key and context"),
    ("all", "the layer: all of it (protect)"),
    ("all-layer", "the layer: all of it (Router::layer)"),
    ("good", "from_fn, a good one"),
    ("usual", "by hand, the usual way"),
];

fn main() {
    let arguments: Vec<String> = env::args().collect();
    if let [_, serve, which] = arguments.as_slice()
        && serve == "serve"
    {
        return self::serve(which);
    }
    let mut servers: Vec<Server> = OURS.iter().map(|(which, name)| ours(which, name)).collect();
    servers.extend(others::nginx());
    servers.extend(others::better_auth());
    let mut rates = vec![Vec::new(); servers.len()];
    for round in 0..ROUNDS {
        for place in 0..servers.len() {
            // Another first each time.
            let index = (place + round) % servers.len();
            rates[index].push(load(&servers[index]));
        }
    }
    let medians: Vec<f64> = rates.into_iter().map(|rates| quantile(rates, 0.5)).collect();
    println!("{:<40} {:>9} {:>14}", "", "of bare", "requests/s");
    for (server, median) in servers.iter().zip(&medians) {
        println!("{:<40} {:>9.2} {median:>14.0}", server.name, median / medians[0]);
    }
}

/// This program again, as a server.
fn ours(which: &str, name: &str) -> Server {
    let program = env::current_exe().expect("the program knows itself");
    let mut child = on_processor(0, program.to_str().expect("the path is text"))
        .args(["serve", which])
        .stdout(Stdio::piped())
        .spawn()
        .expect("taskset is installed");
    let mut line = String::new();
    let output = child.stdout.take().expect("it is piped");
    BufReader::new(output).read_line(&mut line).expect("the server says where it listens");
    Server { name: name.to_owned(), child, port: line.trim().parse().expect("it is a port") }
}

fn serve(which: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("there is a runtime");
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("there is a free port");
        println!("{}", listener.local_addr().expect("it is bound").port());
        let router = Router::new().route("/v1/items", get(|| async { "ok" }));
        let fixture = Fixture::with_secret(1_000, SECRET);
        let layer = |name: &str| fixture.setting(name).layer;
        let served = match which {
            "bare" => axum::serve(listener, router).await,
            "key" => axum::serve(listener, layer("accepted").protect(router)).await,
            "all" => axum::serve(listener, layer("accepted, all").protect(router)).await,
            "all-layer" => {
                let service = router.layer(layer("accepted, all"));
                let service = service.into_make_service_with_connect_info::<std::net::SocketAddr>();
                axum::serve(listener, service).await
            }
            "floor" => {
                let keys = floor::keys(fixture.secrets.iter().map(String::as_str));
                axum::serve(listener, shared(Floor::new(router, keys, true))).await
            }
            "good" => axum::serve(listener, shared(peers::good_from_fn(&fixture.secrets, router))).await,
            "usual" => axum::serve(listener, shared(peers::usual_from_fn(&fixture.secrets, router))).await,
            other => panic!("no server is called {other}"),
        };
        served.expect("the server runs until it is ended");
    });
}

/// What makes a service of each connection by cloning one.
fn shared<S>(service: S) -> tower::make::Shared<S>
where
    S: Service<Request, Response = Response<Body>, Error = Infallible> + Clone,
{
    tower::make::Shared::new(service)
}

fn on_processor(processor: u32, program: &str) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", &processor.to_string(), program]);
    command
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
    listener.local_addr().expect("it is bound").port()
}

/// Requests a second.
fn load(server: &Server) -> f64 {
    let output = on_processor(1, "wrk")
        .args(["-t1", &format!("-c{CONNECTIONS}"), &format!("-d{SECONDS}s"), "-H", &format!("x-api-key: {SECRET}")])
        .arg(format!("http://127.0.0.1:{}/v1/items", server.port))
        .output()
        .expect("wrk is installed");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(!said.contains("Non-2xx"), "{} refuses: {said}", server.name);
    let rate = said.lines().find_map(|line| line.strip_prefix("Requests/sec:"));
    rate.and_then(|rate| rate.trim().parse().ok()).unwrap_or_else(|| panic!("{}: {said}", server.name))
}
