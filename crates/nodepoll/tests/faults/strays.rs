use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use nodepoll::faults::Route;
use nodepoll::{Command, DialOptions, Endpoint, RustHost};
use socket2::{Domain, Socket, Type};

use crate::local::send;

/// The first number of a dial that comes to nothing; those below are pairs.
const FIRST: u32 = 1000;

/// Dials that come to nothing, between those that do.
pub(crate) struct Strays {
    /// It is bound, and nobody listens.
    refusing: Socket,
    /// Its queue is full, so that connects to it never get an answer.
    silent: Socket,
    _queued: Vec<Socket>,
    /// By number: where each is dialled, and how it may fail by now.
    open: BTreeMap<u32, (usize, Option<i32>)>,
    next: u32,
}

impl Strays {
    pub(crate) fn new() -> Self {
        let silent = bound();
        silent.listen(0).unwrap();
        let to = address(&silent).into();
        let queued = (0..4).map(|_| {
            let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            client.set_nonblocking(true).unwrap();
            // Under way, or waiting: both fill the queue.
            let _ = client.connect(&to);
            client
        });
        Self {
            _queued: queued.collect(),
            refusing: bound(),
            silent,
            open: BTreeMap::new(),
            next: FIRST,
        }
    }

    /// Dials where nobody listens, or where nobody answers.
    pub(crate) fn dial(&mut self, host: &RustHost, is_refused: bool) {
        let (to, errno) = if is_refused {
            (&self.refusing, Some(libc::ECONNREFUSED))
        } else {
            (&self.silent, None)
        };
        let options = DialOptions {
            dial: self.next,
            endpoint: Endpoint::Inet(address(to)),
            local: None,
            no_delay: true,
            keep_alive: None,
            window: u32::MAX,
        };
        let lane = host.dial(&options).unwrap();
        self.open.insert(self.next, (lane, errno));
        self.next += 1;
    }

    /// Gives all up that nobody answers.
    pub(crate) fn cancel(&mut self, host: &mut RustHost) {
        for (&dial, (lane, errno)) in &mut self.open {
            if errno.is_none() {
                *errno = Some(libc::ECANCELED);
                send(host, *lane, &Command::CancelDial { dial });
            }
        }
    }

    /// Whether a dial is one of these, which has failed as it may.
    pub(crate) fn failed(&mut self, dial: u32, errno: i32) -> bool {
        if dial < FIRST {
            return false;
        }
        let (_, expected) = self.open.remove(&dial).expect("a dial fails once");
        // Or else the kernel did not want to watch it.
        let may_be = [expected, Some(libc::ENOSPC)];
        assert!(may_be.contains(&Some(errno)), "dial {dial} fails: {errno}");
        true
    }

    /// Whether a connection that came about like this would be one of these.
    pub(crate) fn are_at(route: &Route) -> bool {
        matches!(route, Route::From(address) if address.ip() == Ipv4Addr::LOCALHOST)
    }

    pub(crate) fn are_over(&self) -> bool {
        self.open.is_empty()
    }
}

fn bound() -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket
        .bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())
        .unwrap();
    socket
}

fn address(socket: &Socket) -> SocketAddr {
    socket.local_addr().unwrap().as_socket().unwrap()
}
