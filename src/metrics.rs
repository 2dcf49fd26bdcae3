//! What the layer counts and times, through the [`metrics`](https://docs.rs/metrics) facade: any exporter will do.
//!
//! **Install the exporter first**, before a layer, a cache or a limiter is made: each asks for its counters once, when it is
//! made, so that a request looks nothing up. What is made before counts for nobody.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
//! use tower_api_key::{ApiKeyLayer, metrics, source::MemoryKeys};
//!
//! let exporter = PrometheusBuilder::new()
//!     .set_buckets_for_metric(Matcher::Full(metrics::STAGE_DURATION.to_owned()), metrics::STAGE_BUCKETS)?
//!     .install_recorder()?;
//! let auth = ApiKeyLayer::new(MemoryKeys::new());
//! // In the handler of `/metrics`, on a port of its own:
//! auth.refresh_gauges();
//! let page = exporter.render();
//! assert!(page.contains(metrics::DECISIONS));
//! # Ok(()) }
//! ```
//!
//! | metric | kind | labels |
//! | --- | --- | --- |
//! | [`DECISIONS`] | counter | `outcome`, `reason`, `source` |
//! | [`HANDLER_REFUSALS`] | counter | `reason` |
//! | [`STAGE_DURATION`] | histogram, seconds | `stage`, `from` |
//! | [`BACKEND_ERRORS`] | counter | `backend` |
//! | [`DROPPED`] | counter | `what` |
//! | [`EXPIRING_KEYS`] | gauge | `within` |
//! | [`CACHE_LOOKUPS`], [`CACHE_LOADS`] | counter | `source`, `result` |
//! | [`CACHE_ENTRIES`] | gauge | `source`, `kind` |
//! | [`CACHE_INVALIDATIONS`] | counter | `source`, `what` |
//! | [`CACHE_BUS_CONNECTED`] | gauge | `source` |
//! | [`LIMITER_ENTRIES`], [`LIMITER_CAPACITY`] | gauge | |
//! | [`LIMITER_AVAILABLE`] | gauge | `limiter` |
//! | [`LIMITER_UNDECIDED`] | counter | `limiter`, `on_unavailable` |
//!
//! # How many series there can be
//! Labels come from lists that are closed, and from names in the configuration: of sources, resolvers and limiters. At most
//! [`MOST_NAMES`] different names of sources and backends are told apart in a layer, and further ones are `other`. Nothing
//! that a caller sends, no id, and no code of the application's own becomes a label.
//!
//! # What is timed
//! A stage that had to wait for a backend (`from="backend"`) is timed each time. One that was answered from memory takes
//! about as long as reading a clock does, so that of those requests one in 64 on each thread is timed (`from="memory"`): quantiles
//! are right, and how many there were is told by [`DECISIONS`].
//!
//! # Gauges
//! They say how things stood when they were last looked at: in [`ApiKeyLayer::refresh_gauges`](crate::ApiKeyLayer::refresh_gauges),
//! to be called before a scrape is answered, and whenever [`ApiKeyLayer::background`](crate::ApiKeyLayer::background) has
//! written what keys were used. Those of a cache and of a shared limiter change with what they are about.

/// Requests that the layer decided on, those to public routes and preflights left out.
///
/// `outcome`: `accepted` or `refused`. `reason`: by what right ([`AuthMethod`](crate::AuthMethod)), or the code of the refusal
/// ([`Rejection::code`](crate::rejection::Rejection::code)). `source`: the source that knows the key, or the one that knows the
/// session; `none` where neither was known.
pub const DECISIONS: &str = "tower_api_key_decisions_total";

/// Refusals that a handler behind the layer returned, whose requests [`DECISIONS`] has as accepted. `reason` is the code, and
/// `APPLICATION` for every code of the application's own.
pub const HANDLER_REFUSALS: &str = "tower_api_key_handler_refusals_total";

/// How long a stage took, in seconds.
///
/// `stage`: `credential` (reading it and taking it out), `source`, `session`, `limiter`, `credits`, `decision` (all of them), and
/// `usage` (a batch of uses on its way to the store). `from`: `memory` (a sample) or `backend` (all).
pub const STAGE_DURATION: &str = "tower_api_key_stage_duration_seconds";

/// Calls to a backend that it did not answer, or not in time. `backend` is the name of the source, store or resolver, or
/// `rate limiter`.
pub const BACKEND_ERRORS: &str = "tower_api_key_backend_errors_total";

/// What was lost because a bounded memory was full, or nobody knows of.
///
/// `what`: `usage` (uses that were not noted), `usage_in_doubt` (uses that a store was told of and never answered), `audit` (events).
pub const DROPPED: &str = "tower_api_key_dropped_total";

/// How many keys were used in the last 24 hours, by the notes of [`usage`](crate::usage), and expire within `1d`, `7d` and `30d`,
/// each of which includes the one before. Every node has those that it saw: take the maximum over nodes, not the sum.
pub const EXPIRING_KEYS: &str = "tower_api_key_expiring_keys";

/// What a cache was asked. `result`: `hit`, `absent` (it knows that there is no record) or `miss`.
pub const CACHE_LOOKUPS: &str = "tower_api_key_cache_lookups_total";

/// How loads of a cache ended. `result`: `found`, `absent`, `stale` (the source failed, and a record past its time is used),
/// `failed` or `overtaken` (by invalidations, twice).
pub const CACHE_LOADS: &str = "tower_api_key_cache_loads_total";

/// What is in a cache, good or past its time. `kind`: `record` or `absence`.
pub const CACHE_ENTRIES: &str = "tower_api_key_cache_entries";

/// What a cache was told to forget. `what`: `key`, `digest`, `absent` or `all`.
pub const CACHE_INVALIDATIONS: &str = "tower_api_key_cache_invalidations_total";

/// Whether a cache hears the invalidations of other nodes: 1, or 0 while its bus is lost.
pub const CACHE_BUS_CONNECTED: &str = "tower_api_key_cache_bus_connected";

/// How many counters the limiters in memory keep, those that are over and not yet cleared away included.
pub const LIMITER_ENTRIES: &str = "tower_api_key_limiter_entries";

/// How many they have room for.
pub const LIMITER_CAPACITY: &str = "tower_api_key_limiter_capacity";

/// Whether Redis decides on limits: 1, or 0 while it gives no answer. `limiter` is the prefix of the limiter.
pub const LIMITER_AVAILABLE: &str = "tower_api_key_limiter_available";

/// Requests that Redis did not decide on. `on_unavailable`: what became of them, `refuse`, `allow` or `count_locally`.
pub const LIMITER_UNDECIDED: &str = "tower_api_key_limiter_undecided_total";

/// Bounds for [`STAGE_DURATION`], in seconds: from a lookup in memory to the deadline of a backend.
pub const STAGE_BUCKETS: &[f64] = &[
    0.000_000_1,
    0.000_000_25,
    0.000_000_5,
    0.000_001,
    0.000_002_5,
    0.000_01,
    0.000_1,
    0.000_5,
    0.001,
    0.002_5,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
];

/// How many different names of sources and of backends a layer tells apart.
pub const MOST_NAMES: usize = 16;

/// Says of each metric what it is, for exporters that tell.
pub(crate) fn describe() {
    use ::metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
    let counters = [
        (DECISIONS, "Requests that were decided on, by outcome, reason, and the source of the key or session."),
        (HANDLER_REFUSALS, "Refusals by handlers behind the layer, by reason."),
        (BACKEND_ERRORS, "Calls that a backend did not answer, or not in time."),
        (DROPPED, "What was lost because a bounded memory was full, or because no answer came."),
        (CACHE_LOOKUPS, "What caches were asked, by result."),
        (CACHE_LOADS, "How loads of caches ended."),
        (CACHE_INVALIDATIONS, "What caches were told to forget."),
        (LIMITER_UNDECIDED, "Requests that Redis did not decide on, by what became of them."),
    ];
    let gauges = [
        (EXPIRING_KEYS, "Keys used in the last 24 hours that expire within the time."),
        (CACHE_ENTRIES, "What is in caches, by kind."),
        (CACHE_BUS_CONNECTED, "1 if a cache hears the invalidations of other nodes."),
        (LIMITER_ENTRIES, "Counters that limiters in memory keep."),
        (LIMITER_CAPACITY, "Counters that limiters in memory have room for."),
        (LIMITER_AVAILABLE, "1 if Redis decides on limits."),
    ];
    counters.into_iter().for_each(|(name, text)| describe_counter!(name, Unit::Count, text));
    gauges.into_iter().for_each(|(name, text)| describe_gauge!(name, Unit::Count, text));
    describe_histogram!(
        STAGE_DURATION,
        Unit::Seconds,
        "How long stages took that waited, and a sample of those that did not."
    );
}
