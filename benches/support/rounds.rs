//! Measures several ways to answer requests against each other.
//!
//! A machine that others use too is faster in one second than in the next. So all ways are measured in each of many
//! rounds, in an order that is shuffled each time, and what one adds to another is the median over rounds of the
//! difference in the same round.

use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use super::allocations;

/// Requests are made in batches before the clock starts, few enough to stay in the cache as those of a server do.
const BATCH: usize = 32;

/// One way to answer requests.
pub struct Case {
    pub name: String,
    /// The case without the work that is measured.
    pub base: usize,
    batch: Box<dyn FnMut() -> f64>,
    allocations: u64,
    times: Vec<f64>,
}

impl Case {
    /// `call` answers what `request` makes. What it adds to the case at the index `base` is of interest.
    pub fn new<Q: 'static>(
        name: impl Into<String>,
        base: usize,
        request: impl Fn() -> Q + 'static,
        mut call: impl FnMut(Q) + 'static,
    ) -> Self {
        for _ in 0..100 {
            call(request());
        }
        let sample = request();
        let allocations = allocations::count(|| call(sample)).1;
        let mut requests = Vec::with_capacity(BATCH);
        let batch = Box::new(move || {
            requests.extend((0..BATCH).map(|_| request()));
            let started = Instant::now();
            while let Some(request) = requests.pop() {
                call(request);
            }
            started.elapsed().as_secs_f64() * 1e9 / BATCH as f64
        });
        Self { name: name.into(), base, batch, allocations, times: Vec::new() }
    }
}

/// What a case costs.
#[derive(Debug, Clone)]
pub struct Cost {
    pub name: String,
    /// Nanoseconds more than the base, the median over rounds.
    pub added: f64,
    /// Half of the distance between the quartiles of that.
    pub spread: f64,
    /// Allocations more than the base.
    pub allocations: i64,
}

/// Measures all cases in each of so many rounds, each by so many batches a round.
pub fn measure(cases: &mut [Case], rounds: usize, batches: usize) -> Vec<Cost> {
    let mut order: Vec<usize> = (0..cases.len()).collect();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..rounds {
        for index in (1..order.len()).rev() {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            order.swap(index, (random % (index as u64 + 1)) as usize);
        }
        for index in &order {
            let case = &mut cases[*index];
            let times: Vec<f64> = (0..batches).map(|_| (case.batch)()).collect();
            case.times.push(quantile(times, 0.5));
        }
    }
    let cost = |case: &Case| {
        let base = &cases[case.base];
        let differences: Vec<f64> = case.times.iter().zip(&base.times).map(|(time, base)| time - base).collect();
        let spread = (quantile(differences.clone(), 0.75) - quantile(differences.clone(), 0.25)) / 2.0;
        let is_base = std::ptr::eq(case, base);
        Cost {
            name: case.name.clone(),
            added: if is_base { quantile(case.times.clone(), 0.5) } else { quantile(differences, 0.5) },
            spread,
            allocations: case.allocations as i64 - if is_base { 0 } else { base.allocations as i64 },
        }
    };
    cases.iter().map(cost).collect()
}

/// The value below which this part of all values lies.
pub fn quantile(mut values: Vec<f64>, part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(((values.len().max(1) - 1) as f64 * part).round() as usize).copied().unwrap_or(f64::NAN)
}

/// The outcome of a future that never has to wait for long.
pub fn finish<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..1_000 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return black_box(output);
        }
    }
    panic!("nothing here has to wait");
}
