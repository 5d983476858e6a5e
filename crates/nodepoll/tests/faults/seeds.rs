use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use nodepoll::faults::{Fault, Faults};

use crate::scenario::{Scenario, Weather};
use crate::world::{Outcome, World};

/// Seeds that run at the same time: most of the time a seed waits for its pollers.
const WORKERS: usize = 4;

/// The variable with the one seed to run, or the first of several.
const SEED: &str = "NODEPOLL_SEED";

/// The variable with the number of seeds to run.
const SEEDS: &str = "NODEPOLL_SEEDS";

/// Seeds in any weather; each fault by itself has fewer of them.
pub(crate) const SEEDS_USUAL: u64 = 300;

/// What many seeds have come to.
#[derive(Debug, Default)]
struct Tally {
    seeds: u64,
    sum: Outcome,
    injected: [u64; Fault::ALL.len()],
}

impl Tally {
    fn add(&mut self, outcome: &Outcome, faults: &Faults) {
        self.seeds += 1;
        self.sum.connections += outcome.connections;
        self.sum.bytes += outcome.bytes;
        self.sum.streams_whole += outcome.streams_whole;
        self.sum.closes_late += outcome.closes_late;
        self.sum.ends_by_peer += outcome.ends_by_peer;
        self.sum.timeouts += outcome.timeouts;
        self.sum.idles += outcome.idles;
        self.sum.early += outcome.early;
        self.sum.strays += outcome.strays;
        self.sum.switches += outcome.switches;
        self.sum.crowds += outcome.crowds;
        self.sum.pauses_for_events += outcome.pauses_for_events;
        self.sum.pauses_for_memory += outcome.pauses_for_memory;
        self.sum.pauses_for_input += outcome.pauses_for_input;
        for (sum, fault) in self.injected.iter_mut().zip(Fault::ALL) {
            *sum += faults.injected(fault);
        }
    }

    /// What no seed by itself can show.
    fn judge(&self, weather: Weather) {
        for &fault in weather.faults() {
            assert!(self.injected[fault as usize] > 0, "{fault:?} never happens");
        }
        let late = self.sum.closes_late;
        // A machine that is busy elsewhere makes some of them late.
        let late_max = 3 + self.sum.connections / 500;
        assert!(
            late <= late_max,
            "{late} closes wait until their time is over"
        );
        let early = self.sum.early;
        let early_max = 3 + (self.sum.idles + self.sum.timeouts) / 500;
        assert!(early <= early_max, "{early} times are over much too early");
        if weather == Weather::Any {
            assert!(self.sum.ends_by_peer > 0, "no two FINs end a connection");
            assert!(self.sum.timeouts > 0, "closes always have time enough");
            assert!(self.sum.idles > 0, "no connection is idle");
            assert!(self.sum.strays > 0, "all dials come to something");
            assert!(self.sum.switches > 0, "no driver changes hands");
            assert!(self.sum.crowds > 0, "no limit is reached");
            assert!(self.sum.pauses_for_events > 0, "rings are never full");
            assert!(self.sum.pauses_for_memory > 0, "memory never runs out");
            assert!(self.sum.pauses_for_input > 0, "windows are never full");
        }
    }
}

/// Runs `count` seeds, or those that the environment asks for. `test` is a part of the test's name
/// that no other one has.
pub(crate) fn run(test: &str, count: u64, weather: Weather) {
    // As many times the usual number, in each test.
    let scaled = |wanted: u64| (wanted * count).div_ceil(SEEDS_USUAL);
    let seeds = match (variable(SEED), variable(SEEDS)) {
        (Some(seed), None) => seed..seed + 1,
        (first, wanted) => {
            let first = first.unwrap_or(1);
            first..first + scaled(wanted.unwrap_or(SEEDS_USUAL))
        }
    };
    let is_one = seeds.end - seeds.start == 1;
    let tally = Mutex::new(Tally::default());
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
    let tally = tally.into_inner().unwrap();
    report(test, &tally);
    if !is_one {
        tally.judge(weather);
    }
}

fn run_one(seed: u64, weather: Weather, tally: &Mutex<Tally>) {
    let scenario = Scenario::new(seed, weather);
    let mut world = World::new(&scenario);
    for &step in &scenario.steps {
        world.step(step);
    }
    world.serve_all(&scenario.pairs);
    world.bring_all_through();
    if scenario.is_long {
        world.keep_busy();
    }
    world.end_all(&scenario.pairs);
    let outcome = world.judge();
    tally.lock().unwrap().add(&outcome, &scenario.faults);
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
