//! A log of what was taken in the last period, bounded in length.

use super::{LimitState, Rule, Verdict};

/// How many instants are told apart.
const INSTANTS: usize = 64;

/// What was taken, and when, oldest first.
///
/// When the log is full, time is divided into cells of a 63rd of the period, and what was taken in one cell is counted
/// at the latest instant in it: it comes back late by less than a cell, never early. The last period touches at most 64
/// cells, so that there is room again.
#[derive(Debug, Default)]
pub(crate) struct SlidingWindow {
    log: Vec<Taken>,
    /// How many permits the log holds.
    used: u64,
    /// Whether each entry is known to be in a cell of its own.
    is_condensed: bool,
    free_at: i64,
}

#[derive(Debug, Clone, Copy)]
struct Taken {
    at: i64,
    permits: u32,
}

impl SlidingWindow {
    pub(crate) fn look(&self, rule: &Rule, cost: u64, now: i64) -> LimitState {
        let now_or_latest = self.not_before_latest(now);
        let (over, live) = self.log.split_at(self.expired(rule, now_or_latest));
        let used = self.used.saturating_sub(permits(over));
        let remaining = u64::from(rule.capacity).saturating_sub(used);
        let verdict = if cost <= remaining || cost == 0 {
            Verdict::Admitted
        } else {
            rule.refused(cost, wait(live, rule, used.saturating_add(cost)).saturating_sub(now))
        };
        rule.state(remaining, live.last().map_or(now, |last| last.at.saturating_add(rule.period)), verdict)
    }

    pub(crate) fn take(&mut self, rule: &Rule, cost: u32, now: i64) -> LimitState {
        let now = self.not_before_latest(now);
        let over = self.expired(rule, now);
        self.used = self.used.saturating_sub(permits(&self.log[..over])).saturating_add(u64::from(cost));
        self.log.drain(..over);
        match self.log.last_mut() {
            Some(last) if last.at == now => last.permits = last.permits.saturating_add(cost),
            _ => self.append(rule, Taken { at: now, permits: cost }),
        }
        self.free_at = now.saturating_add(rule.period);
        let remaining = u64::from(rule.capacity).saturating_sub(self.used);
        rule.state(remaining, self.free_at, Verdict::Admitted)
    }

    pub(crate) fn free_at(&self) -> i64 {
        if self.log.is_empty() { i64::MIN } else { self.free_at }
    }

    fn append(&mut self, rule: &Rule, taken: Taken) {
        let is_full = self.log.len() >= INSTANTS;
        let width = rule.period.unsigned_abs().div_ceil(INSTANTS as u64 - 1).cast_signed();
        let cell = |taken: &Taken| taken.at.div_euclid(width);
        if is_full
            && self.is_condensed
            && let Some(last) = self.log.last_mut()
            && cell(last) == cell(&taken)
        {
            *last = Taken { at: taken.at, permits: last.permits.saturating_add(taken.permits) };
            return;
        }
        self.log.push(taken);
        if is_full {
            self.log.dedup_by(|later, earlier| {
                let same = cell(later) == cell(earlier);
                if same {
                    *earlier = Taken { at: later.at, permits: earlier.permits.saturating_add(later.permits) };
                }
                same
            });
        }
        self.is_condensed = is_full;
    }

    fn not_before_latest(&self, now: i64) -> i64 {
        self.log.last().map_or(now, |last| last.at.max(now))
    }

    /// How many entries of the log are a period old.
    fn expired(&self, rule: &Rule, now: i64) -> usize {
        self.log.partition_point(|taken| taken.at.saturating_add(rule.period) <= now)
    }
}

fn permits(log: &[Taken]) -> u64 {
    log.iter().map(|taken| u64::from(taken.permits)).sum()
}

/// When no more than the capacity would be taken, if `used` is what would be taken now.
fn wait(log: &[Taken], rule: &Rule, mut used: u64) -> i64 {
    for taken in log {
        used = used.saturating_sub(u64::from(taken.permits));
        if used <= u64::from(rule.capacity) {
            return taken.at.saturating_add(rule.period);
        }
    }
    i64::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_is_known_to_be_condensed_becomes_what_it_would_if_it_were_not() {
        // Periods that the 63 cells do and do not divide, and one that is shorter than they are many.
        for period in [6_300, 6_301, 40] {
            let rule = Rule { limit: u32::MAX, capacity: u32::MAX, period };
            let (mut window, mut forgetful) = (SlidingWindow::default(), SlidingWindow::default());
            let (mut now, mut merged) = (0, 0);
            for step in 0..20_000i64 {
                // Crowds, some of them longer than a period, and pauses.
                now += if step % 1_700 == 0 { 4_000 } else { (step * 7_919) % 31 };
                merged += u32::from(window.is_condensed && window.log.len() == INSTANTS);
                forgetful.is_condensed = false;
                assert_eq!(window.take(&rule, 3, now), forgetful.take(&rule, 3, now), "{step}");
                let both = [&window, &forgetful].map(|window| format!("{:?} {}", window.log, window.used));
                assert_eq!(both[0], both[1], "{step} of {period}");
            }
            assert!(merged > 1_000 || period < 64, "{merged} of {period}");
        }
    }
}
