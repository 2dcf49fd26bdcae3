//! Asking Redis on behalf of many callers at once.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redis::Value;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::error::RedisLimiterError;
use super::request::{Answer, Request};
use super::wire::{Batch, Kind, MOST_KEYS};
use crate::redis_link::{Link, LinkedScript, RedisLinkError};

/// Gathers what is asked while Redis is busy, and asks it in one call.
///
/// A question that comes alone is sent at once. While [`CALLS`] calls are under way, questions wait, and the next call
/// takes them: as many of one [kind](Kind) as a call may have. Each call is a task of its own, so that a caller who goes away
/// takes nobody with it.
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
    answer: oneshot::Sender<Result<Answer, Arc<RedisLinkError>>>,
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
        let runtime = Handle::try_current().map_err(|_| RedisLinkError::NoRuntime)?;
        self.asked.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        {
            let mut queue = self.queue();
            if queue.resting_until.is_some_and(|end| Instant::now() < end) {
                return Err(RedisLinkError::Resting(self.deadline).into());
            }
            queue.waiting(request.kind()).push_back(Question { request, answer });
            if queue.calls < CALLS {
                queue.calls += 1;
                let call = Call { desk: Arc::clone(self), is_over: false };
                runtime.spawn(call.work());
            }
        }
        match tokio::time::timeout(self.deadline, answered).await {
            Ok(Ok(Ok(answer))) => Ok(answer),
            Ok(Ok(Err(error))) => Err(error.into()),
            Ok(Err(_)) => Err(RedisLimiterError::GivenUp),
            Err(_) => Err(RedisLinkError::Deadline(self.deadline).into()),
        }
    }

    pub(super) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, kind: Kind, questions: Vec<Question>) {
        let requests = || questions.iter().map(|question| &question.request);
        let batch = Batch::new(kind, requests(), &self.prefix);
        let time = self.time();
        let [groups, fields, packed, charges] = batch.arguments();
        let arguments = [time.as_bytes(), groups, fields, packed, charges];
        let script = match kind {
            Kind::Windows => &self.windows,
            Kind::Mixed => &self.mixed,
        };
        let reply = script.call(&self.link, batch.keys(), &arguments, self.deadline).await;
        let answers = reply.and_then(|reply| match reply {
            Value::BulkString(reply) => batch.read(&reply, requests()),
            _ => Err(RedisLinkError::Answer),
        });
        match answers {
            Ok(answers) => {
                for (question, answer) in questions.into_iter().zip(answers) {
                    let _ = question.answer.send(Ok(answer));
                }
            }
            Err(error) => {
                let error = Arc::new(error);
                self.queue().resting_until = Some(Instant::now() + self.deadline);
                for question in questions {
                    let _ = question.answer.send(Err(Arc::clone(&error)));
                }
            }
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

impl Queue {
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
        while questions.len() < kind.most_requests()
            && let Some(question) = waiting.front()
            && charges + question.request.items.len() <= MOST_KEYS
        {
            // Nothing is taken for those who no longer wait.
            if let Some(question) = waiting.pop_front().filter(|question| !question.answer.is_closed()) {
                charges += question.request.items.len();
                questions.push(question);
            }
        }
        questions
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
            self.desk.queue().calls -= 1;
        }
    }
}
