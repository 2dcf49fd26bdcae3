//! What came of a run.

use std::time::Duration;

use crate::site::Site;

/// By how much a process may have grown since it was warm.
const MEMORY_SLACK: u64 = 8 * 1024;
const FILES_SLACK: usize = 24;

/// Prints how requests ended, and how long it took to recover from each fault.
pub(crate) fn print(name: &str, site: &Site) {
    if site.tally().exactly_few == 0 {
        site.violated("no key met its limit exactly".to_owned());
    }
    let tally = site.tally();
    println!("\n{name}, {} s", site.second());
    println!("| outcome | requests |\n| --- | ---: |");
    for (outcome, requests) in &tally.outcomes {
        println!("| {outcome} | {requests} |");
    }
    println!("{} keys were let in exactly as often as they were good for", tally.exactly_few);
    println!("| fault | times | recovered after, at most |\n| --- | ---: | ---: |");
    for (fault, times) in &tally.recoveries {
        let longest = times.iter().max().copied().unwrap_or(Duration::ZERO);
        println!("| {fault} | {} | {} ms |", times.len(), longest.as_millis());
    }
}

/// Memory and open files are what they were when the processes were warm: a third more, and the slack, at most; and so many
/// kibibytes for each key that was made since, if keys are in memory and stay there.
pub(crate) fn check_figures(site: &Site, each_key: u64) {
    let slots = site.slots();
    let processes = slots.iter().enumerate().filter_map(|(slot, it)| Some((slot, it.process.as_ref()?)));
    let grown: Vec<_> = processes.filter_map(|(slot, it)| Some((slot, it.warm()?, it.figures()))).collect();
    let made = site.made();
    drop(slots);
    assert!(!grown.is_empty(), "one process at least lives long enough to be looked at");
    for (slot, (warm, keys), now) in grown {
        let keys = made - keys;
        println!(
            "process {slot}: {} KiB, {} files; warm {} KiB, {} files; {keys} keys since",
            now.kibibytes, now.files, warm.kibibytes, warm.files
        );
        let kibibytes = warm.kibibytes * 4 / 3 + MEMORY_SLACK + keys * each_key;
        if now.kibibytes > kibibytes || now.files > warm.files + FILES_SLACK {
            site.violated(format!("process {slot} grows: {warm:?}, {now:?}"));
        }
    }
}

/// What was let in is written, but for what killed processes could not write; and nothing else is.
pub(crate) fn check_uses(site: &Site, written: u64) {
    let may_be_lost = site.may_be_lost();
    let (admitted, unanswered) = {
        let tally = site.tally();
        (tally.admitted, tally.unanswered)
    };
    println!("uses: {written} written, {admitted} let in, {unanswered} unanswered, {may_be_lost} may be lost");
    if written > admitted + unanswered || written + may_be_lost < admitted {
        site.violated(format!("{written} uses are written of {admitted}, {may_be_lost} may be lost"));
    }
}
