use napi_derive::napi;
use nodepoll::Runtime;

/// Counts since the runtime started, and what it holds now.
#[napi(object, object_from_js = false)]
pub struct BindingStats {
    pub pollers: u32,
    pub connections: f64,
    pub listeners: f64,
    pub arena_bytes: f64,
    pub arena_bytes_used: f64,
    pub arena_bytes_leased: f64,
    pub arena_leases: f64,
    pub stale_leases: f64,
    pub accepts: f64,
    pub dials: f64,
    pub bytes_read: f64,
    pub bytes_written: f64,
    pub reads: f64,
    pub writes: f64,
    pub turns: f64,
    pub drives: f64,
    pub exchanges: f64,
    pub switches: f64,
    pub wakeups_of_host: f64,
    pub wakeups_of_poller: f64,
    pub events: f64,
    pub commands: f64,
    pub stale_commands: f64,
    pub stale_events: f64,
    pub pauses_for_events: f64,
    pub pauses_for_memory: f64,
    pub pauses_for_input: f64,
    pub pauses_by_host: f64,
    pub bytes_copied: f64,
}

impl BindingStats {
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    pub(crate) fn of(runtime: &Runtime) -> Self {
        let counters = runtime.counters();
        let arena = runtime.arena().stats();
        Self {
            pollers: u32::try_from(runtime.lane_count()).unwrap_or(u32::MAX),
            connections: counters.connections as f64,
            listeners: counters.listeners as f64,
            arena_bytes: arena.bytes_granted as f64,
            arena_bytes_used: arena.bytes_in_nodes as f64,
            arena_bytes_leased: arena.bytes_leased as f64,
            arena_leases: arena.leases as f64,
            stale_leases: arena.stale as f64,
            accepts: counters.accepts as f64,
            dials: counters.dials as f64,
            bytes_read: counters.bytes_read as f64,
            bytes_written: counters.bytes_written as f64,
            reads: counters.reads as f64,
            writes: counters.writes as f64,
            turns: counters.turns as f64,
            drives: counters.drives as f64,
            exchanges: runtime.exchanges() as f64,
            switches: runtime.switches() as f64,
            wakeups_of_host: counters.host_wakeups as f64,
            wakeups_of_poller: runtime.poller_wakeups() as f64,
            events: counters.events as f64,
            commands: counters.commands as f64,
            stale_commands: counters.stale_commands as f64,
            stale_events: counters.stale_events as f64,
            pauses_for_events: counters.pauses_for_events as f64,
            pauses_for_memory: counters.pauses_for_memory as f64,
            pauses_for_input: counters.pauses_for_input as f64,
            pauses_by_host: counters.pauses_by_host as f64,
            bytes_copied: counters.bytes_copied as f64,
        }
    }
}
