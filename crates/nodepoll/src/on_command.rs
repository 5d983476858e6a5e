use crate::command::Command;
use crate::connection::Connection;
use crate::dialer::canceled;
use crate::driver::{Driver, Entry};
use crate::event::EndReason;
use crate::io::Io;
use crate::key::Key;
use crate::listener::Listener;
use crate::record::ConnectionId;

impl Driver {
    /// Does what the host wants.
    pub(crate) fn on_command(&mut self, command: Command) {
        let io = &mut self.io;
        match command {
            Command::Write { id, segment } => {
                // The lease is ours from here on, whoever wants the bytes.
                let Some(segment) = io.memory.arena().take_leased(segment) else {
                    return;
                };
                let taken = match self.entries.get_mut(Key::of_id(id)) {
                    Some(Entry::Connection(connection)) => connection.write(segment, io),
                    _ => false,
                };
                io.counters.stale_commands += u64::from(!taken);
            }
            Command::Close { id, millis } => {
                self.on_connection(id, |connection, io| connection.close(millis, io));
            }
            Command::CloseWrite { id } => self.on_connection(id, Connection::close_write),
            Command::Idle { id, millis } => {
                self.on_connection(id, |connection, io| connection.tell_when_idle(millis, io));
            }
            Command::NoDelay { id, on } => {
                self.on_connection(id, |connection, _| connection.socket.set_no_delay(on));
            }
            Command::KeepAlive { id, keep_alive } => self.on_connection(id, |connection, _| {
                connection.socket.set_keep_alive(keep_alive);
            }),
            Command::Acknowledge { id } => self.on_connection(id, Connection::acknowledge_all),
            Command::Destroy { id } => {
                self.on_connection(id, |connection, io| connection.end(EndReason::Local, io));
            }
            Command::Reset { id } => self.on_connection(id, Connection::reset),
            Command::Probe { id } => self.on_connection(id, Connection::probe),
            Command::Window { id, position } => {
                self.on_connection(id, |connection, io| connection.widen(position, io));
            }
            Command::Pause { id } => self.on_connection(id, Connection::pause),
            Command::Resume { id } => self.on_connection(id, Connection::resume),
            Command::Fill { id, room, position } => {
                // As with a write: the lease is ours.
                if let Some(room) = io.memory.arena().take_room(room) {
                    self.on_connection(id, |connection, io| connection.fill(room, position, io));
                }
            }
            Command::Accept { listener, window } => {
                self.on_listener(listener, |listener| listener.begin(window));
            }
            Command::CloseListener { listener } => self.on_listener(listener, Listener::close),
            Command::CancelDial { dial } => match self.dials.get(&dial).copied() {
                Some(key) => self.fail_dial(key, canceled()),
                None => io.counters.stale_commands += 1,
            },
            Command::Fault => panic!("the host asked for a panic"),
        }
    }

    pub(crate) fn on_connection(
        &mut self,
        id: ConnectionId,
        act: impl FnOnce(&mut Connection, &mut Io),
    ) {
        match self.entries.get_mut(Key::of_id(id)) {
            Some(Entry::Connection(connection)) => act(connection, &mut self.io),
            _ => self.io.counters.stale_commands += 1,
        }
    }

    pub(crate) fn on_listener(&mut self, number: u32, act: impl FnOnce(&mut Listener)) {
        let key = self.listeners.get(&number).copied();
        match key.and_then(|key| self.entries.get_mut(key).map(|entry| (key, entry))) {
            Some((key, Entry::Listener(listener))) => {
                act(listener);
                self.io.queue_listener(listener, key);
            }
            _ => self.io.counters.stale_commands += 1,
        }
    }
}
