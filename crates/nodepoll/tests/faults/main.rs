//! Many connections over sockets that fail as a seed says, against a model that knows each byte.
//!
//! A seed decides what is done and in which order, and which faults are drawn. What comes of it
//! depends on threads and on the kernel too, so that a seed that fails once may need some tries.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bytes;
mod door;
mod flow;
mod foreign;
mod local;
mod pair;
mod scenario;
mod seeds;
mod silence;
mod strays;
mod world;

use nodepoll::faults::Fault;

use scenario::Weather;
use seeds::{SEEDS_USUAL, run};

#[test]
fn h33_h35_h39_h46_h72_h94_every_byte_is_the_right_one_in_any_weather() {
    run("any_weather", SEEDS_USUAL, Weather::Any);
}

#[test]
fn h33_short_reads_leave_nothing_behind() {
    run("short_reads", 30, Weather::Only(&[Fault::ShortRead]));
}

#[test]
fn h35_h39_short_writes_repeat_and_skip_nothing() {
    run("short_writes", 30, Weather::Only(&[Fault::ShortWrite]));
}

#[test]
fn h72_calls_that_would_block_for_no_reason_stop_nobody() {
    run("stop_nobody", 30, Weather::Only(&[Fault::Again]));
}

#[test]
fn h94_interrupted_calls_are_made_again() {
    run(
        "interrupted_calls",
        30,
        Weather::Only(&[Fault::Interrupted]),
    );
}

#[test]
fn h46_without_descriptors_or_memory_accepting_goes_on_later() {
    const LACKS: &[Fault] = &[
        Fault::Exhausted,
        Fault::NoMemory,
        Fault::Aborted,
        Fault::Unwatched,
    ];
    run("accepting_goes_on", 10, Weather::Only(LACKS));
}

#[test]
fn h53_resets_end_only_their_own_connections() {
    run("resets_end", 30, Weather::Only(&[Fault::Reset]));
}
