//! What the tests share. Each helper brings its own teardown.

mod bed;
mod child;
mod log;
mod peer;
mod random;

pub(crate) use bed::{Bed, PATIENCE};
pub(crate) use child::alone;
pub(crate) use log::{Name, OnData, Seen};
pub(crate) use peer::{Scratch, connect, connect_path, read_all, read_exactly, reset};
pub(crate) use random::{Random, pattern};
