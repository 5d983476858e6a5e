//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::payload::HEADER_SIZE;

/// Drives an echo server in a closed loop and verifies every byte that comes back.
#[derive(Debug, Parser)]
#[command(name = "nodepoll-loadgen", version)]
pub(crate) struct Args {
    /// What each connection does
    #[arg(long, value_enum, default_value_t = Mode::Echo)]
    pub(crate) mode: Mode,

    /// TCP port of the server
    #[arg(long, required_unless_present = "path", conflicts_with = "path")]
    pub(crate) port: Option<u16>,

    /// Host of the server
    #[arg(long, default_value = "127.0.0.1")]
    pub(crate) host: String,

    /// Unix socket of the server, in place of a port
    #[arg(long)]
    pub(crate) path: Option<PathBuf>,

    /// Connections open at the same time
    #[arg(long, default_value_t = 100, value_parser = positive)]
    pub(crate) connections: usize,

    /// Further connections that make one request before the load begins, and then stay silent
    #[arg(long, default_value_t = 0)]
    pub(crate) idle: usize,

    /// Bytes of one request, and of its reply
    #[arg(long, default_value_t = 1024, value_parser = positive)]
    pub(crate) size: usize,

    /// Send each request behind its size: 4 bytes, big-endian, that the reply has too
    #[arg(long)]
    pub(crate) framed: bool,

    /// Requests in flight on each connection
    #[arg(long, default_value_t = 1, value_parser = positive)]
    pub(crate) depth: usize,

    /// Seconds to measure, or to hold idle connections
    #[arg(long, default_value = "3", value_parser = seconds)]
    pub(crate) seconds: Duration,

    /// Seconds of load before measuring begins
    #[arg(long, default_value = "0.5", value_parser = seconds)]
    pub(crate) warmup: Duration,

    /// Tell stderr when measuring begins and ends, and the requests per second, once a second
    #[arg(long)]
    pub(crate) progress: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Request after request on connections that stay open
    Echo,
    /// A new connection for each request
    Short,
    /// One request on each connection, then silence
    Idle,
}

impl Args {
    /// Bytes of one request on the wire.
    pub(crate) fn request_size(&self) -> usize {
        self.size + if self.framed { HEADER_SIZE } else { 0 }
    }
}

impl Mode {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Short => "short",
            Self::Idle => "idle",
        }
    }
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("expected a whole number above 0".to_owned()),
        Ok(number) => Ok(number),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "expected a number of seconds".to_owned())
}
