use linkbuf::sync::{AtomicU64, Ordering};

/// Defines the plain counters of a driver, their shared copy, and the way between the two.
macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What a driver has done since it started.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counters {
            $($(#[$doc])* pub $name: u64,)*
        }

        /// The last counters that a driver has published, for anybody to read.
        #[derive(Debug, Default)]
        pub(crate) struct SharedCounters {
            $($name: AtomicU64,)*
        }

        impl SharedCounters {
            /// Stores what only the holder of the driver's lock counts.
            pub(crate) fn publish(&self, counters: &Counters) {
                // Relaxed: each counter stands for itself.
                $(self.$name.store(counters.$name, Ordering::Relaxed);)*
            }

            pub(crate) fn read(&self) -> Counters {
                // Relaxed: as above.
                Counters { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }

        impl std::ops::AddAssign for Counters {
            fn add_assign(&mut self, other: Self) {
                $(self.$name += other.$name;)*
            }
        }
    };
}

counters! {
    /// Connections and dials in the table.
    connections,
    /// Listeners in the table.
    listeners,
    /// Connections accepted.
    accepts,
    /// Dials begun.
    dials,
    /// Bytes received.
    bytes_read,
    /// Bytes the kernel has taken.
    bytes_written,
    /// Receiving system calls.
    reads,
    /// Sending system calls.
    writes,
    /// Turns of the driver.
    turns,
    /// Times that the host drove by itself.
    drives,
    /// Times that the host was woken.
    host_wakeups,
    /// Events posted.
    events,
    /// Commands taken.
    commands,
    /// Commands for a connection that was no more.
    stale_commands,
    /// Events of the kernel for a connection that was no more.
    stale_events,
    /// Times that a socket waited for room in the event ring.
    pauses_for_events,
    /// Times that a socket waited for memory.
    pauses_for_memory,
    /// Times that a socket waited for the host to consume what it had received.
    pauses_for_input,
    /// Times that a socket waited because the host wanted it to.
    pauses_by_host,
    /// Bytes copied so that they would not hold a node.
    bytes_copied,
}
