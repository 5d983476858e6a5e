//! A closed-loop load generator for echo servers: one thread, any number of connections.
//!
//! Every byte that comes back is verified. A byte depends on its connection and on its position
//! in the stream (see [`payload`]), so bytes that are lost, doubled, reordered, changed or meant
//! for someone else are all found, and end the run with a message and exit code 1.
//! One line of JSON on stdout is the result.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "printing the result, the progress and the failure is what the program is for"
)]

mod args;
mod connection;
mod failure;
mod generator;
mod histogram;
mod payload;
mod report;
mod target;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match generator::run(&args::Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("nodepoll-loadgen: {failure}");
            ExitCode::FAILURE
        }
    }
}
