//! What a rule about addresses costs: `cargo bench --bench ip`.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use http::{HeaderMap, HeaderValue};
use ipnet::IpNet;
use tower_api_key::ip::{IpBlocks, TrustedProxies};

const CALLS: u32 = 100_000;
const ROUNDS: u32 = 25;

/// Nanoseconds of a call: the median over rounds.
fn measure(mut call: impl FnMut(u32)) -> f64 {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            (0..CALLS).for_each(&mut call);
            started.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}

/// Spreads numbers over all of `u32`, so that no lookup follows the one before it.
const fn scattered(number: u32) -> u32 {
    number.wrapping_mul(2_654_435_761)
}

fn v4(number: u32) -> IpAddr {
    Ipv4Addr::from(scattered(number)).into()
}

fn v6(number: u32) -> IpAddr {
    Ipv6Addr::from(u128::from(scattered(number)) << 80 | 0x2001 << 112).into()
}

fn blocks(count: u32) -> IpBlocks {
    let nets = (0..count).flat_map(|number| [IpNet::new(v4(number), 24), IpNet::new(v6(number), 48)]);
    nets.flatten().take(count as usize).collect()
}

fn main() {
    println!("{:<44} {:>8}", "", "ns");
    for count in [10, 1_000, 10_000] {
        let blocks = blocks(count);
        let found = (0..count / 2).all(|number| blocks.contains(v4(number)) && blocks.contains(v6(number)));
        assert!(found, "every block holds its first address");
        for (family, address) in [("IPv4", v4 as fn(u32) -> IpAddr), ("IPv6", v6)] {
            let nanoseconds = measure(|number| {
                black_box(blocks.contains(black_box(address(number ^ 0x5555))));
            });
            println!("{:<44} {nanoseconds:>8.0}", format!("{count} blocks, {family}"));
        }
    }
    let peer: IpAddr = Ipv4Addr::new(10, 0, 0, 1).into();
    let mut headers = HeaderMap::new();
    headers.insert("x-forwarded-for", HeaderValue::from_static("203.0.113.7, 10.0.0.2"));
    let proxies = TrustedProxies::blocks("10.0.0.0/8".parse().unwrap_or_default());
    for (name, proxies) in [("client, no proxies", TrustedProxies::none()), ("client, X-Forwarded-For", proxies)] {
        let nanoseconds = measure(|_| {
            black_box(proxies.client(black_box(Some(peer)), black_box(&headers)));
        });
        println!("{name:<44} {nanoseconds:>8.0}");
    }
}
