use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use nodepoll::faults::Fault;

use crate::scenario::{Scenario, Weather};
use crate::world::World;

/// Seeds that run at the same time: most of the time a seed waits for its pollers.
const WORKERS: usize = 4;

/// The variable with the one seed to run.
const SEED: &str = "NODEPOLL_SEED";

/// The variable with the number of seeds to run.
const SEEDS: &str = "NODEPOLL_SEEDS";

/// What many seeds have come to.
#[derive(Debug, Default)]
struct Tally {
    seeds: AtomicU64,
    bytes: AtomicU64,
    /// Streams of which all bytes have arrived.
    streams_whole: AtomicU64,
    injected: [AtomicU64; Fault::ALL.len()],
}

/// Runs `count` seeds, or those that the environment asks for. `test` is a part of the test's name
/// that no other one has.
pub(crate) fn run(test: &str, count: u64, weather: Weather) {
    let seeds = match (variable(SEED), variable(SEEDS)) {
        (Some(seed), _) => seed..seed + 1,
        (None, count_wanted) => 1..1 + count_wanted.unwrap_or(count),
    };
    let is_one = seeds.end - seeds.start == 1;
    let tally = Tally::default();
    let next = AtomicU64::new(seeds.start);
    let failures = Mutex::new(Vec::new());
    let work = || {
        while failures.lock().unwrap().is_empty() {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            let result = catch_unwind(AssertUnwindSafe(|| run_one(seed, weather, &tally)));
            if let Err(panic) = result {
                let told = panic.downcast_ref::<String>().cloned();
                let told = told.or_else(|| panic.downcast_ref::<&str>().map(|&told| told.into()));
                failures
                    .lock()
                    .unwrap()
                    .push((seed, told.unwrap_or_default()));
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(work);
        }
    });
    if let Some((seed, told)) = failures.into_inner().unwrap().first() {
        panic!(
            "seed {seed} fails: {told}\nrun it again: {SEED}={seed} \
             cargo test -p nodepoll --features faults --test faults {test}"
        );
    }
    report(test, &tally);
    for fault in weather.faults() {
        let injected = tally.injected[*fault as usize].load(Ordering::Relaxed);
        assert!(is_one || injected > 0, "no {fault:?} was injected");
    }
}

fn run_one(seed: u64, weather: Weather, tally: &Tally) {
    let scenario = Scenario::new(seed, weather);
    let mut world = World::new(&scenario);
    for &step in &scenario.steps {
        world.step(step);
    }
    world.bring_all_through();
    world.end_all(&scenario.pairs);
    let (bytes, streams_whole) = world.judge();
    tally.seeds.fetch_add(1, Ordering::Relaxed);
    tally.bytes.fetch_add(bytes, Ordering::Relaxed);
    tally
        .streams_whole
        .fetch_add(streams_whole as u64, Ordering::Relaxed);
    for fault in Fault::ALL {
        let injected = scenario.faults.injected(fault);
        tally.injected[fault as usize].fetch_add(injected, Ordering::Relaxed);
    }
}

#[expect(
    clippy::print_stderr,
    reason = "seen with --nocapture, by who wants to know"
)]
fn report(test: &str, tally: &Tally) {
    eprintln!("{test}: {tally:?}");
}

fn variable(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name} is a number, not {value}")),
    )
}
