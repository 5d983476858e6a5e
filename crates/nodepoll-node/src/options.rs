use std::net::{IpAddr, SocketAddr};

use napi::bindgen_prelude::Unknown;
use napi::{Error, Result, Status};
use napi_derive::napi;
use nodepoll::{
    Address, DialOptions, Endpoint, KeepAlive, ListenOptions, OpenError, SystemError, Treatment,
};

/// What a runtime is made of. The arrays are kept and written to until the environment ends.
#[napi(object, object_to_js = false)]
pub struct BindingRuntimeOptions<'env> {
    pub memory_max: f64,
    /// Who turns drivers: `auto`, `thread`, `inline`, or `restless:` and a seed.
    pub host: String,
    /// How connections are spread over drivers.
    #[napi(ts_type = "'roundRobin' | 'random' | 'leastConnections'")]
    pub load_balance: String,
    #[napi(ts_type = "Int32Array")]
    pub control: Unknown<'env>,
    #[napi(ts_type = "Int32Array")]
    pub lease_changes: Unknown<'env>,
    /// Each lane's ring of commands.
    #[napi(ts_type = "Int32Array[]")]
    pub commands: Vec<Unknown<'env>>,
    /// Each lane's ring of events.
    #[napi(ts_type = "Int32Array[]")]
    pub events: Vec<Unknown<'env>>,
}

/// Where to listen: an IP address and a port, or a path.
#[napi(object, object_to_js = false, use_nullable = true)]
pub struct BindingListenOptions {
    pub listener: u32,
    pub host: Option<String>,
    pub port: u16,
    pub path: Option<String>,
    pub backlog: i32,
    pub ipv6_only: bool,
    pub reuse_port: bool,
}

/// Probes of a silent connection. 0 leaves interval and count to the system.
#[napi(object, object_to_js = false)]
pub struct BindingKeepAlive {
    pub idle_seconds: u32,
    pub interval_seconds: u32,
    pub count: u32,
}

/// What is special about the connections of a listener.
#[napi(object, object_to_js = false, use_nullable = true)]
pub struct BindingTreatment {
    pub no_delay: bool,
    pub keep_alive: Option<BindingKeepAlive>,
    /// The number of a limit that several listeners may share.
    pub limit: u32,
    /// How many connections it allows; 0 is no limit.
    pub limit_max: u32,
}

/// Whom to dial: an IP address and a port, or a path.
#[napi(object, object_to_js = false, use_nullable = true)]
pub struct BindingDialOptions {
    pub dial: u32,
    pub host: Option<String>,
    pub port: u16,
    pub path: Option<String>,
    pub local_host: Option<String>,
    pub local_port: u16,
    pub no_delay: bool,
    pub keep_alive: Option<BindingKeepAlive>,
    /// Bytes that the connection may receive at first.
    pub window: u32,
}

/// What has become of listening or dialing. Without an error `errno` is 0.
#[napi(object, object_from_js = false)]
pub struct BindingOutcome {
    /// No driver is left to take the socket.
    pub has_loop_failed: bool,
    pub errno: i32,
    pub syscall: String,
    pub lane: u32,
    /// 4, 6, or 1 for a unix socket.
    pub family: u32,
    pub address: String,
    pub port: u16,
}

impl TryFrom<BindingListenOptions> for ListenOptions {
    type Error = Error;

    fn try_from(options: BindingListenOptions) -> Result<Self> {
        Ok(Self {
            listener: options.listener,
            endpoint: endpoint(options.host.as_deref(), options.port, options.path)?,
            backlog: options.backlog,
            ipv6_only: options.ipv6_only,
            reuse_port: options.reuse_port,
        })
    }
}

impl TryFrom<BindingDialOptions> for DialOptions {
    type Error = Error;

    fn try_from(options: BindingDialOptions) -> Result<Self> {
        let local = options
            .local_host
            .map(|host| socket_address(&host, options.local_port));
        Ok(Self {
            dial: options.dial,
            endpoint: endpoint(options.host.as_deref(), options.port, options.path)?,
            local: local.transpose()?,
            no_delay: options.no_delay,
            keep_alive: options.keep_alive.map(KeepAlive::from),
            window: options.window,
        })
    }
}

impl From<BindingKeepAlive> for KeepAlive {
    fn from(options: BindingKeepAlive) -> Self {
        Self {
            idle_seconds: options.idle_seconds,
            interval_seconds: options.interval_seconds,
            count: options.count,
        }
    }
}

impl From<BindingTreatment> for Treatment {
    fn from(options: BindingTreatment) -> Self {
        Self {
            no_delay: options.no_delay,
            keep_alive: options.keep_alive.map(KeepAlive::from),
            limit: (options.limit_max > 0).then_some((options.limit, options.limit_max)),
        }
    }
}

impl BindingOutcome {
    pub(crate) fn done(lane: usize, address: Address) -> Self {
        let (family, address, port) = match address {
            Address::Unix => (1, String::new(), 0),
            Address::Inet(address) => {
                let family = if address.is_ipv4() { 4 } else { 6 };
                (family, address.ip().to_string(), address.port())
            }
        };
        let lane = u32::try_from(lane).unwrap_or(u32::MAX);
        Self {
            has_loop_failed: false,
            errno: 0,
            syscall: String::new(),
            lane,
            family,
            address,
            port,
        }
    }

    pub(crate) fn failed(error: &OpenError) -> Self {
        let (errno, syscall) = match error {
            OpenError::System(SystemError { errno, syscall }) => (*errno, *syscall),
            OpenError::LoopFailed => (0, ""),
        };
        Self {
            has_loop_failed: *error == OpenError::LoopFailed,
            errno,
            syscall: syscall.to_owned(),
            lane: 0,
            family: 0,
            address: String::new(),
            port: 0,
        }
    }
}

fn endpoint(host: Option<&str>, port: u16, path: Option<String>) -> Result<Endpoint> {
    match (host, path) {
        (_, Some(path)) => Ok(Endpoint::Path(path.into())),
        (Some(host), None) => socket_address(host, port).map(Endpoint::Inet),
        (None, None) => Err(Error::new(Status::InvalidArg, "neither host nor path")),
    }
}

fn socket_address(host: &str, port: u16) -> Result<SocketAddr> {
    let bracketed = format!("[{host}]:{port}");
    let plain = host.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, port));
    // The second form knows the scope of a link-local address.
    plain
        .or_else(|_| bracketed.parse())
        .map_err(|_| Error::new(Status::InvalidArg, format!("not an IP address: {host}")))
}
