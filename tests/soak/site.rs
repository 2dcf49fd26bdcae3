//! A service of some processes, what is known of its keys, and what its callers have seen.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use crate::process::Process;

pub(crate) const ADMIN: &str = "an-admin-key-of-at-least-32-characters";

/// Within this time a key that was revoked is refused everywhere, while nodes can tell each other.
pub(crate) const REVOKED_WITHIN: Duration = Duration::from_secs(1);

/// And within this, whatever is away: how long `cluster` believes what it knows.
const BELIEVED: Duration = Duration::from_secs(60 + 300);

/// How long a caller waits. Above every deadline in the service.
const PATIENCE: Duration = Duration::from_secs(15);

/// A place for a process.
pub(crate) struct Slot {
    pub(crate) process: Option<Process>,
    /// Raised whenever the process is about to end: whose call began before is excused from an answer.
    epoch: u64,
    /// How many were let in by each process, by epoch and by the second of the run.
    admitted: BTreeMap<(u64, u64), u64>,
    /// Which processes were killed, and from which second on their uses may not be written.
    killed: Vec<(u64, u64)>,
}

/// A key that must not work.
#[derive(Clone)]
pub(crate) struct Dead {
    pub(crate) text: String,
    since: Instant,
    within: Duration,
}

/// A key that works.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Live {
    pub(crate) id: String,
    pub(crate) text: String,
}

#[derive(Default)]
pub(crate) struct Board {
    pub(crate) live: Vec<Live>,
    pub(crate) dead: Vec<Dead>,
    /// When nodes could not tell each other what they changed, and until when if that is over.
    pub(crate) untold: Vec<(Instant, Option<Instant>)>,
}

/// What callers have seen.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) outcomes: BTreeMap<String, u64>,
    /// Calls that were let in, of keys that the store counts.
    pub(crate) admitted: u64,
    /// Calls without an answer, which may have been let in.
    pub(crate) unanswered: u64,
    /// Calls that were let in with the key that is called as often as can be, by how often counters had been lost.
    pub(crate) hammered: BTreeMap<u64, u64>,
    /// How many keys were used up by exactly as many calls as they were good for.
    pub(crate) exactly_few: u64,
    pub(crate) recoveries: BTreeMap<&'static str, Vec<Duration>>,
    pub(crate) violations: Vec<String>,
}

/// A service under load.
pub(crate) struct Site {
    slots: Mutex<Vec<Slot>>,
    board: Mutex<Board>,
    tally: Mutex<Tally>,
    client: Client<HttpConnector, Full<Bytes>>,
    pub(crate) started: Instant,
    stopped: AtomicBool,
    /// How often what was counted has been lost.
    losses: AtomicU64,
    /// How many keys were made.
    made: AtomicU64,
}

/// Why there is no answer.
pub(crate) enum NoAnswer {
    /// The process was ended.
    Excused,
    /// It should have answered.
    Missing,
}

pub(crate) fn client(from: Ipv4Addr) -> Client<HttpConnector, Full<Bytes>> {
    let mut connector = HttpConnector::new();
    connector.set_local_address(Some(IpAddr::V4(from)));
    Client::builder(TokioExecutor::new()).pool_idle_timeout(Duration::from_secs(5)).build(connector)
}

impl Site {
    pub(crate) fn new(processes: Vec<Process>) -> Self {
        let slot = |process| Slot { process: Some(process), epoch: 0, admitted: BTreeMap::new(), killed: Vec::new() };
        Self {
            slots: Mutex::new(processes.into_iter().map(slot).collect()),
            board: Mutex::default(),
            tally: Mutex::default(),
            client: client(Ipv4Addr::LOCALHOST),
            started: Instant::now(),
            stopped: AtomicBool::new(false),
            losses: AtomicU64::new(0),
            made: AtomicU64::new(0),
        }
    }

    pub(crate) fn slots(&self) -> MutexGuard<'_, Vec<Slot>> {
        self.slots.lock().unwrap()
    }

    pub(crate) fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap()
    }

    pub(crate) fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap()
    }

    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// What was counted is about to be lost: calls that begin now are counted anew.
    pub(crate) fn lose_counters(&self) {
        self.losses.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn losses(&self) -> u64 {
        self.losses.load(Ordering::SeqCst)
    }

    pub(crate) fn made(&self) -> u64 {
        self.made.load(Ordering::SeqCst)
    }

    /// Looks at all processes that have run for this long.
    pub(crate) fn warm_up(&self, after: Duration) {
        let made = self.made();
        self.slots().iter_mut().flat_map(|slot| &mut slot.process).for_each(|process| process.warm_up(after, made));
    }

    pub(crate) fn second(&self) -> u64 {
        self.started.elapsed().as_secs()
    }

    /// Notes that something is not as it must be. The run goes on, and fails at its end.
    pub(crate) fn violated(&self, what: String) {
        let at = self.second();
        eprintln!("{at} s: {what}");
        self.tally().violations.push(format!("{at} s: {what}"));
    }

    /// Numbers of the slots whose processes run.
    pub(crate) fn up(&self) -> Vec<usize> {
        let slots = self.slots();
        (0..slots.len()).filter(|slot| slots[*slot].process.is_some()).collect()
    }

    /// Takes a process out, to be ended.
    pub(crate) fn take(&self, slot: usize) -> Process {
        let slot = &mut self.slots()[slot];
        slot.epoch += 1;
        slot.process.take().expect("it runs")
    }

    pub(crate) fn put(&self, slot: usize, process: Process) {
        self.slots()[slot].process = Some(process);
    }

    /// Notes that what the process that was here has counted in this time may be lost.
    pub(crate) fn killed(&self, slot: usize, window: u64) {
        let from = self.second().saturating_sub(window);
        let slot = &mut self.slots()[slot];
        slot.killed.push((slot.epoch - 1, from));
    }

    /// How many uses may be lost, once all callers have counted.
    pub(crate) fn may_be_lost(&self) -> u64 {
        let lost = |slot: &Slot| {
            let spans = slot.killed.iter().map(|(epoch, from)| (*epoch, *from)..=(*epoch, u64::MAX));
            spans.flat_map(|span| slot.admitted.range(span)).map(|(_, count)| count).sum::<u64>()
        };
        self.slots().iter().map(lost).sum()
    }

    /// The status and the body of a call.
    pub(crate) async fn call(
        &self,
        slot: usize,
        method: Method,
        path: &str,
        key: &str,
        body: Option<Value>,
    ) -> Result<(StatusCode, Value), NoAnswer> {
        self.call_by(&self.client, slot, method, path, key, body).await
    }

    pub(crate) async fn call_by(
        &self,
        client: &Client<HttpConnector, Full<Bytes>>,
        slot: usize,
        method: Method,
        path: &str,
        key: &str,
        body: Option<Value>,
    ) -> Result<(StatusCode, Value), NoAnswer> {
        let (url, epoch) = {
            let slots = self.slots();
            let Some(process) = &slots[slot].process else { return Err(NoAnswer::Excused) };
            (format!("{}{path}", process.url), slots[slot].epoch)
        };
        let request = Request::builder().method(method).uri(url).header("authorization", format!("Bearer {key}"));
        let request = request.header("content-type", "application/json");
        let request = request.body(Full::from(body.map(|body| body.to_string()).unwrap_or_default())).unwrap();
        let exchange = async {
            let (parts, body) = client.request(request).await.ok()?.into_parts();
            Some((parts, body.collect().await.ok()?.to_bytes()))
        };
        let answer = tokio::time::timeout(PATIENCE, exchange).await.ok().flatten();
        let Some((parts, body)) = answer else {
            let is_excused = self.slots()[slot].epoch != epoch;
            self.tally().unanswered += 1;
            return Err(if is_excused { NoAnswer::Excused } else { NoAnswer::Missing });
        };
        let retry = parts.headers.contains_key("retry-after");
        self.judge_status(parts.status, retry, path);
        Ok((parts.status, serde_json::from_slice(&body).unwrap_or_default()))
    }

    /// A service without its stores says 503, when to come again, and nothing else of that kind.
    fn judge_status(&self, status: StatusCode, says_when: bool, path: &str) {
        if status.is_server_error() && (status != StatusCode::SERVICE_UNAVAILABLE || !says_when) {
            self.violated(format!("{status} at {path}, Retry-After: {says_when}"));
        }
    }

    /// A call with a key that should be let in or not, and what came of it.
    pub(crate) async fn whoami(&self, slot: usize, key: &str) -> Option<StatusCode> {
        let epoch = self.slots()[slot].epoch;
        match self.call(slot, Method::GET, "/api/whoami", key, None).await {
            Ok((status, _)) => {
                self.count(status.as_str());
                if status == StatusCode::OK {
                    self.tally().admitted += 1;
                    let second = self.second();
                    *self.slots()[slot].admitted.entry((epoch, second)).or_default() += 1;
                }
                Some(status)
            }
            Err(NoAnswer::Excused) => {
                self.count("process ended");
                None
            }
            Err(NoAnswer::Missing) => {
                self.violated(format!("process {slot} runs and does not answer"));
                None
            }
        }
    }

    pub(crate) fn count(&self, outcome: &str) {
        *self.tally().outcomes.entry(outcome.to_owned()).or_default() += 1;
    }

    /// Makes a key; `None` if the service cannot now.
    pub(crate) async fn make(&self, slot: usize, expires_at: Option<String>) -> Option<Live> {
        self.make_of(slot, json!({ "name": "soak", "scopes": ["read"], "expiresAt": expires_at })).await
    }

    /// Makes a key as `body` says; `None` if the service cannot now.
    pub(crate) async fn make_of(&self, slot: usize, body: Value) -> Option<Live> {
        let (status, made) = self.call(slot, Method::POST, "/v1/keys", ADMIN, Some(body)).await.ok()?;
        if status != StatusCode::CREATED {
            return None;
        }
        self.made.fetch_add(1, Ordering::SeqCst);
        let text = |name: &str| made[name].as_str().or(made["data"][name].as_str()).unwrap_or_default().to_owned();
        Some(Live { id: text("id"), text: text("key") })
    }

    /// Revokes a key; `false` if it is not known that it is.
    pub(crate) async fn revoke(&self, slot: usize, id: &str) -> bool {
        let answer = self.call(slot, Method::DELETE, &format!("/v1/keys/{id}"), ADMIN, None).await;
        answer.is_ok_and(|(status, _)| status.is_success())
    }

    /// From now on the key must not work: at once, or `within` a time.
    pub(crate) fn bury(&self, text: String, since: Instant, within: Duration) {
        self.board().dead.push(Dead { text, since, within });
    }

    /// Whether a key that is over has to be refused by now.
    pub(crate) fn has_to_be_refused(&self, dead: &Dead) -> bool {
        let (begin, end) = (dead.since, dead.since + dead.within);
        let untold =
            |(from, until): &(Instant, Option<Instant>)| *from <= end && until.is_none_or(|until| until >= begin);
        let could_be_told = dead.within.is_zero() || !self.board().untold.iter().any(untold);
        Instant::now() >= begin + if could_be_told { dead.within } else { BELIEVED }
    }

    /// Waits until every process makes keys, and lets them in, and notes how long that took.
    pub(crate) async fn recovers(&self, fault: &'static str, within: Duration) {
        let since = Instant::now();
        let mut left = self.up();
        while !left.is_empty() {
            if since.elapsed() > within {
                return self.violated(format!("{fault}: {left:?} do not recover within {within:?}"));
            }
            let slot = left[0];
            let works = match self.make(slot, None).await {
                Some(key) => {
                    let works = self.whoami(slot, &key.text).await == Some(StatusCode::OK);
                    if self.revoke(slot, &key.id).await {
                        self.bury(key.text, Instant::now(), REVOKED_WITHIN);
                    }
                    works
                }
                None => false,
            };
            if works {
                left.remove(0);
            } else {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        self.tally().recoveries.entry(fault).or_default().push(since.elapsed());
    }
}
