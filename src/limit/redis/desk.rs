//! Asking Redis on behalf of many callers at once.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::Value;
use smallvec::SmallVec;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::error::RedisLimiterError;
use super::request::{Answer, GroupKey, Item, Request};
use super::wire::{Batch, Kind, MOST_GROUPS, MOST_KEYS};
use crate::redis_link::{Link, LinkedScript, RedisLinkError};

/// Gathers what is asked while Redis is busy, and asks it in one call.
///
/// A question that comes alone is sent at once. While [`CALLS`] calls are under way, questions wait, and the next call
/// takes them: as many of one [kind](Kind) as a call may have. Each call is a task of its own, so that a caller who goes away
/// takes nobody with it. It also tells who has waited for too long, of its own questions and of those that wait for the next
/// call: one timer does for all.
#[derive(Debug)]
pub(super) struct Desk {
    link: Link,
    windows: LinkedScript,
    mixed: LinkedScript,
    pub(super) prefix: String,
    pub(super) deadline: Duration,
    queue: Mutex<Queue>,
    asked: AtomicU64,
    /// The time that the script is told in place of the clock of Redis.
    #[cfg(test)]
    pub(super) time: Mutex<Option<i64>>,
}

#[derive(Debug, Default)]
struct Queue {
    /// What waits, by kind.
    windows: VecDeque<Question>,
    mixed: VecDeque<Question>,
    /// Whether the last call was one for windows.
    windows_had_turn: bool,
    calls: usize,
    resting_until: Option<Instant>,
}

#[derive(Debug)]
struct Question {
    request: Request,
    /// Until when the answer is waited for.
    until: Instant,
    /// None once it has been given.
    answer: Option<oneshot::Sender<Result<Answer, Arc<RedisLinkError>>>>,
}

/// How many calls are under way at once: while Redis works on one, the next is on its way.
const CALLS: usize = 2;

impl Desk {
    pub(super) fn new(link: Link, prefix: String, deadline: Duration) -> Self {
        Self {
            link,
            windows: LinkedScript::new(Kind::Windows.script()),
            mixed: LinkedScript::new(Kind::Mixed.script()),
            prefix,
            deadline,
            queue: Mutex::default(),
            asked: AtomicU64::new(0),
            #[cfg(test)]
            time: Mutex::default(),
        }
    }

    /// Asks about one request.
    ///
    /// # Errors
    /// When there is no answer within the deadline. What was asked may have been taken then.
    pub(super) async fn ask(self: &Arc<Self>, request: Request) -> Result<Answer, RedisLimiterError> {
        if request.items.len() > MOST_KEYS {
            return Err(RedisLimiterError::TooManyCharges(MOST_KEYS));
        }
        self.asked.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        let now = Instant::now();
        let question = Question { until: now + self.deadline, answer: Some(answer), request };
        // Spawned without the lock: a runtime that ends drops the call at once.
        let runtime = self.queue().add(question, now, self.deadline)?;
        if let Some(runtime) = runtime {
            runtime.spawn(Call { desk: Arc::clone(self), is_over: false }.work());
        }
        match answered.await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(RedisLimiterError::GivenUp),
        }
    }

    pub(super) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, kind: Kind, mut questions: Vec<Question>) {
        let batch = Batch::new(kind, questions.iter().map(|question| &question.request), &self.prefix);
        let reply = self.call(kind, &batch, &mut questions).await;
        let answers = reply.and_then(|reply| match reply {
            Value::BulkString(reply) => batch.read(&reply, questions.iter().map(|question| &question.request)),
            _ => Err(RedisLinkError::Answer),
        });
        match answers {
            Ok(answers) => {
                for (mut question, answer) in questions.into_iter().zip(answers) {
                    question.answer(Ok(answer));
                }
            }
            Err(error) => {
                let error = Arc::new(error);
                self.queue().resting_until = Some(Instant::now() + self.deadline);
                questions.iter_mut().for_each(|question| question.answer(Err(Arc::clone(&error))));
            }
        }
    }

    /// Calls the script, and tells those who have waited for too long meanwhile.
    async fn call(&self, kind: Kind, batch: &Batch, questions: &mut [Question]) -> Result<Value, RedisLinkError> {
        let time = self.time();
        let [groups, fields, packed, charges] = batch.arguments();
        let arguments = [time.as_bytes(), groups, fields, packed, charges];
        let script = match kind {
            Kind::Windows => &self.windows,
            Kind::Mixed => &self.mixed,
        };
        let mut call = pin!(script.call(&self.link, batch.keys(), &arguments, self.deadline));
        loop {
            // Whoever asks from now on waits for longer than the call.
            let first = questions.iter().find(|question| question.answer.is_some());
            let until = [first.map(|question| question.until), self.queue().first_until()];
            let Some(until) = until.into_iter().flatten().min() else { return call.await };
            if let Ok(reply) = timeout_at(until, &mut call).await {
                return reply;
            }
            let late = || Err(Arc::new(RedisLinkError::Deadline(self.deadline)));
            let now = Instant::now();
            let is_late = |question: &&mut Question| question.until <= now;
            questions.iter_mut().take_while(is_late).for_each(|question| question.answer(late()));
            let waiting = self.queue().late(now);
            waiting.into_iter().for_each(|mut question| question.answer(late()));
        }
    }

    #[cfg(not(test))]
    fn time(&self) -> String {
        String::new()
    }

    #[cfg(test)]
    fn time(&self) -> String {
        let time = self.time.lock().unwrap_or_else(PoisonError::into_inner);
        time.map_or_else(String::new, |micros| micros.to_string())
    }
}

impl Question {
    fn answer(&mut self, answer: Result<Answer, Arc<RedisLinkError>>) {
        // Nobody hears it if the caller has gone away.
        let _ = self.answer.take().map(|sender| sender.send(answer));
    }

    fn is_waited_for(&self) -> bool {
        self.answer.as_ref().is_some_and(|sender| !sender.is_closed())
    }
}

impl Queue {
    /// Adds a question. Returns where to start a call for it, if that is to be done.
    fn add(&mut self, question: Question, now: Instant, rest: Duration) -> Result<Option<Handle>, RedisLinkError> {
        if self.resting_until.is_some_and(|end| now < end) {
            return Err(RedisLinkError::Resting(rest));
        }
        let mut runtime = None;
        if self.calls < CALLS {
            runtime = Some(Handle::try_current().map_err(|_| RedisLinkError::NoRuntime)?);
            self.calls += 1;
        }
        self.waiting(question.request.kind()).push_back(question);
        Ok(runtime)
    }

    fn waiting(&mut self, kind: Kind) -> &mut VecDeque<Question> {
        match kind {
            Kind::Windows => &mut self.windows,
            Kind::Mixed => &mut self.mixed,
        }
    }

    /// The questions of the next call; none if nobody asks. The two kinds take turns, so that neither has to wait until nobody
    /// asks the other.
    fn next(&mut self) -> Option<(Kind, Vec<Question>)> {
        let kinds = if self.windows_had_turn { [Kind::Mixed, Kind::Windows] } else { [Kind::Windows, Kind::Mixed] };
        let questions = |kind| Some((kind, self.next_of(kind))).filter(|(_, questions)| !questions.is_empty());
        let next = kinds.into_iter().find_map(questions)?;
        self.windows_had_turn = next.0 == Kind::Windows;
        Some(next)
    }

    fn next_of(&mut self, kind: Kind) -> Vec<Question> {
        let waiting = self.waiting(kind);
        let (mut questions, mut charges) = (Vec::with_capacity(waiting.len().min(kind.most_requests())), 0);
        let mut groups: SmallVec<[GroupKey; MOST_GROUPS]> = SmallVec::new();
        while questions.len() < kind.most_requests()
            && let Some(question) = waiting.front()
        {
            let items = &question.request.items;
            for group in items.iter().map(Item::group) {
                if !groups.contains(&group) {
                    groups.push(group);
                }
            }
            let is_too_much = charges + items.len() > MOST_KEYS || groups.len() > MOST_GROUPS;
            if is_too_much && !questions.is_empty() {
                break;
            }
            // Nothing is taken for those who no longer wait.
            if let Some(question) = waiting.pop_front().filter(Question::is_waited_for) {
                charges += question.request.items.len();
                questions.push(question);
            }
        }
        questions
    }

    /// Until when the first of those who wait does.
    fn first_until(&self) -> Option<Instant> {
        let fronts = [self.windows.front(), self.mixed.front()];
        fronts.into_iter().flatten().map(|question| question.until).min()
    }

    /// Those who have waited for too long.
    fn late(&mut self, now: Instant) -> Vec<Question> {
        let mut late = Vec::new();
        for waiting in [&mut self.windows, &mut self.mixed] {
            let count = waiting.iter().take_while(|question| question.until <= now).count();
            late.extend(waiting.drain(..count));
        }
        late
    }
}

/// A call after the other, until nobody asks. Counted as under way until it is over or dropped.
struct Call {
    desk: Arc<Desk>,
    is_over: bool,
}

impl Call {
    async fn work(mut self) {
        while let Some((kind, questions)) = self.next() {
            self.desk.answer(kind, questions).await;
        }
    }

    fn next(&mut self) -> Option<(Kind, Vec<Question>)> {
        let mut queue = self.desk.queue();
        let questions = queue.next();
        if questions.is_none() {
            // Under the lock under which questions are asked: who asks next knows that a call has to be started.
            queue.calls -= 1;
            self.is_over = true;
        }
        questions
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.is_over {
            let mut queue = self.desk.queue();
            queue.calls -= 1;
            if queue.calls == 0 {
                // Nobody else would tell them that they have waited for too long.
                (queue.windows, queue.mixed) = Default::default();
            }
        }
    }
}
