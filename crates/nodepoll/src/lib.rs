//! Sockets, poller threads and batches: the core of nodepoll, without JavaScript.
//!
//! A [`Runtime`] owns poller threads. Each drives one *lane*: a table of connections behind
//! a lock, and two rings of fixed-size [records](record) that join it to the *host*, the one
//! thread that uses the runtime. The host writes commands into one ring, reads events from the
//! other, and calls [`Runtime::exchange`] to hand over what it wrote and to learn what has come.
//! In Node the host is the JavaScript thread; [`RustHost`] is the same in Rust.
//!
//! Bytes are received into [`linkbuf`] memory that the host sees; an event names node, offset and
//! length, and the host holds a lease on them until it gives it back or sends them on.

#![deny(unsafe_code)]

mod address;
mod balance;
mod bell;
mod command;
mod connection;
mod connection_state;
mod counters;
mod dialer;
mod driver;
mod error;
mod event;
mod event_sink;
#[cfg(feature = "faults")]
pub mod faults;
mod gate;
mod handover;
mod inline_driver;
mod intake;
mod io;
mod key;
mod lane;
pub mod limits;
mod listener;
mod load;
#[cfg(test)]
#[cfg(loom)]
mod loom_tests;
mod mailbox;
mod moment;
mod on_command;
mod options;
mod parking;
mod poller;
mod read;
mod readiness;
pub mod record;
mod ring;
mod runtime;
mod rust_host;
mod seam;
mod selector;
mod sys;
mod timer;
mod whim;
mod write;

pub use address::Address;
pub use bell::{Bell, Host};
pub use command::Command;
pub use connection_state::ConnectionState;
pub use counters::Counters;
pub use error::{OpenError, StartError, SystemError};
pub use event::{EndReason, Event};
pub use inline_driver::{AfterTurn, InlineDriver};
pub use options::{
    DialOptions, Endpoint, Hosting, KeepAlive, ListenOptions, LoadBalance, RuntimeOptions,
    Treatment,
};
pub use parking::Parking;
pub use record::ConnectionId;
pub use ring::{Ring, Words};
pub use runtime::{Runtime, SeamMemory};
pub use rust_host::RustHost;
