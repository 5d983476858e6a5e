//! The binding between nodepoll's core and Node-API: conversions and the wake-up, no policy.
//!
//! One call, `exchange`, is made for every batch; it takes no arguments and returns nothing,
//! since all of it stands in memory that both sides see. Everything else is rare.

mod doorbell;
mod error;
mod exchange;
mod inline_host;
mod memory;
mod options;
mod runtime;
mod stats;
mod uv;
