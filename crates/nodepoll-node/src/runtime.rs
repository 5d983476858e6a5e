use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use linkbuf::{Arena, Purpose};
use napi::bindgen_prelude::{Function, Unknown, retain_current_module_for_unload_safety};
use napi::{Env, Error, Result, Status};
use napi_derive::napi;
use nodepoll::record::LAYOUT;
use nodepoll::{Host, Hosting, LoadBalance, Runtime, SeamMemory};

use crate::doorbell::Doorbell;
use crate::exchange::exchange_function;
use crate::inline_host::{self, InlineHost};
use crate::memory::Granted;
use crate::options::{
    BindingDialOptions, BindingListenOptions, BindingOutcome, BindingRuntimeOptions,
    BindingTreatment,
};
use crate::stats::BindingStats;
use crate::uv::Uv;

/// What the exports of one runtime share. Only the JavaScript thread touches it.
pub(crate) struct Core {
    /// `None` once the environment is ending.
    runtime: RefCell<Option<Runtime>>,
    granted: RefCell<Granted>,
    doorbell: Arc<Doorbell>,
    /// Unset if only threads turn drivers.
    inline: OnceCell<InlineHost>,
}

impl Core {
    pub(crate) fn exchange(&self) {
        self.with_runtime(|runtime| {
            if let Some(inline) = self.inline.get() {
                // It fails only for the first driver of a lane, and those came at the start.
                let _ = inline.take_over(runtime);
            }
            runtime.exchange();
        });
    }

    pub(crate) fn inline(&self) -> Option<&InlineHost> {
        self.inline.get()
    }

    /// Runs `work` on the runtime, unless the environment is ending.
    pub(crate) fn with_runtime<T>(&self, work: impl FnOnce(&Runtime) -> T) -> Option<T> {
        self.runtime.borrow().as_ref().map(work)
    }

    /// As `with_runtime`, for calls that can fail.
    fn with<T>(&self, work: impl FnOnce(&Runtime) -> Result<T>) -> Result<T> {
        self.with_runtime(work)
            .unwrap_or_else(|| Err(Error::new(Status::Closing, "the environment is ending")))
    }

    /// Joins the pollers, closes all sockets, then lets go of the memory they used.
    fn end(&self, env: Env) {
        drop(self.runtime.take());
        self.granted.borrow_mut().free(env);
    }
}

/// One runtime: the pollers of one module instance in one JavaScript environment.
#[napi]
pub struct BindingRuntime {
    core: Rc<Core>,
}

#[napi]
impl BindingRuntime {
    /// Starts the pollers. `doorbell` is called on the JavaScript thread when there are events.
    #[napi(constructor, catch_unwind)]
    pub fn new(
        env: Env,
        options: BindingRuntimeOptions<'_>,
        #[napi(ts_arg_type = "() => void")] doorbell: Function<'_, (), ()>,
    ) -> Result<Self> {
        // Threads of ours must not outlive the code that they run.
        retain_current_module_for_unload_safety();
        let BindingRuntimeOptions {
            memory_max,
            host,
            load_balance,
            control,
            lease_changes,
            commands,
            events,
        } = options;
        let mut granted = Granted::default();
        let mut lanes = Vec::new();
        for (commands, events) in commands.iter().zip(&events) {
            lanes.push((granted.words(env, commands)?, granted.words(env, events)?));
        }
        let memory = SeamMemory {
            control: granted.words(env, &control)?,
            lease_changes: granted.words(env, &lease_changes)?,
            lanes,
        };
        let hosting = hosting_of(&host)?;
        let balance = balance_of(&load_balance)?;
        let pump = doorbell;
        let doorbell = Arc::new(Doorbell::new(&env, &pump)?);
        let bell: Arc<dyn Host> = Arc::<Doorbell>::clone(&doorbell);
        let count = memory.lanes.len();
        let arena = Arena::new(bytes(memory_max));
        let runtime = Runtime::start(memory, arena, &bell, hosting, balance)
            .map_err(|error| Error::new(Status::GenericFailure, error.to_string()))?;
        let core = Rc::new(Core {
            runtime: RefCell::new(Some(runtime)),
            granted: RefCell::new(granted),
            doorbell,
            inline: OnceCell::new(),
        });
        env.add_env_cleanup_hook((env, Rc::clone(&core)), |(env, core)| core.end(env))?;
        if hosting.begins_with_host() {
            let inline = InlineHost::new(&env, &pump, count, &Rc::downgrade(&core))?;
            let inline = core.inline.get_or_init(|| inline);
            inline_host::add_clean_up(&env, &core)?;
            core.with(|runtime| inline.take_over(runtime))?;
            // The first turns may have posted events, and no exchange follows them by itself.
            core.doorbell.wake();
        }
        Ok(Self { core })
    }

    /// The release that this half belongs to, in a form by which it is found in the file, too.
    #[napi(catch_unwind)]
    #[must_use]
    pub fn release() -> &'static str {
        concat!("nodepoll (", env!("CARGO_PKG_VERSION"), ")")
    }

    /// Whether the JavaScript thread can turn drivers in its event loop.
    #[napi(catch_unwind)]
    #[must_use]
    pub fn can_turn_inline() -> bool {
        Uv::get().is_some()
    }

    /// The function to be called once a batch.
    #[napi(catch_unwind, ts_return_type = "() => void")]
    pub fn exchange_function<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        exchange_function(env, &self.core)
    }

    /// Grants a chunk to the arena. Its index, or −1 if the arena takes no more.
    #[napi(catch_unwind)]
    pub fn grant(
        &self,
        env: Env,
        #[napi(ts_arg_type = "Uint8Array")] chunk: Unknown<'_>,
    ) -> Result<i32> {
        self.core.with(|runtime| {
            if runtime.arena().is_full() {
                return Ok(-1);
            }
            let chunk = self.core.granted.borrow_mut().chunk(env, &chunk)?;
            let index = runtime.arena().grant(chunk).ok();
            Ok(index
                .and_then(|index| i32::try_from(index).ok())
                .unwrap_or(-1))
        })
    }

    /// Leases a node to be written to, with one lease a byte: node, offset and length, or `null`
    /// if the arena has no memory. Input and output leave each other some of it.
    #[napi(catch_unwind)]
    pub fn lease_node(&self, bytes: u32, is_for_input: bool) -> Result<Option<Vec<u32>>> {
        let purpose = if is_for_input {
            Purpose::Room
        } else {
            Purpose::Output
        };
        self.core.with(|runtime| {
            let leased = runtime.arena().lease_node_for(purpose, bytes as usize);
            Ok(leased.map(|id| vec![id.node, id.offset, id.len]))
        })
    }

    /// Binds and listens.
    #[napi(catch_unwind)]
    pub fn listen(&self, options: BindingListenOptions) -> Result<BindingOutcome> {
        let options = options.try_into()?;
        self.core.with(|runtime| {
            Ok(match runtime.listen(&options) {
                Ok((lane, address)) => BindingOutcome::done(lane, address),
                Err(error) => BindingOutcome::failed(&error),
            })
        })
    }

    /// Says what is special about the connections of a listener, before it accepts.
    #[napi(catch_unwind)]
    pub fn treat(&self, lane: u32, listener: u32, treatment: BindingTreatment) -> Result<()> {
        self.core.with(|runtime| {
            if lane as usize >= runtime.lane_count() {
                return Err(Error::new(Status::InvalidArg, format!("no lane {lane}")));
            }
            runtime.treat(lane as usize, listener, &treatment.into());
            Ok(())
        })
    }

    /// Begins to dial.
    #[napi(catch_unwind)]
    pub fn dial(&self, options: BindingDialOptions) -> Result<BindingOutcome> {
        let options = options.try_into()?;
        self.core.with(|runtime| {
            Ok(match runtime.dial(&options) {
                Ok(lane) => BindingOutcome::done(lane, nodepoll::Address::Unix),
                Err(error) => BindingOutcome::failed(&error),
            })
        })
    }

    /// Whether the process stays alive for the sake of this runtime.
    #[napi(catch_unwind)]
    pub fn hold(&self, env: Env, hold: bool) -> Result<()> {
        self.core.doorbell.hold(&env, hold)
    }

    /// The layout of records as this side knows it.
    #[napi(catch_unwind)]
    #[must_use]
    pub fn record_layout() -> HashMap<String, i32> {
        LAYOUT
            .iter()
            .map(|&(name, value)| (name.to_owned(), value))
            .collect()
    }

    /// What the runtime has done and holds.
    #[napi(catch_unwind)]
    pub fn stats(&self) -> Result<BindingStats> {
        self.core.with(|runtime| Ok(BindingStats::of(runtime)))
    }
}

fn hosting_of(name: &str) -> Result<Hosting> {
    match name {
        "auto" => Ok(Hosting::Auto),
        "thread" => Ok(Hosting::Thread),
        "inline" => Ok(Hosting::Inline),
        _ => name
            .strip_prefix("restless:")
            .and_then(|seed| seed.parse().ok())
            .map(Hosting::Restless)
            .ok_or_else(|| Error::new(Status::InvalidArg, format!("not a host: {name}"))),
    }
}

fn balance_of(name: &str) -> Result<LoadBalance> {
    match name {
        "roundRobin" => Ok(LoadBalance::RoundRobin),
        "random" => Ok(LoadBalance::Random),
        "leastConnections" => Ok(LoadBalance::LeastConnections),
        _ => Err(Error::new(
            Status::InvalidArg,
            format!("not a way to balance: {name}"),
        )),
    }
}

/// A number of bytes from JavaScript.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates"
)]
fn bytes(number: f64) -> usize {
    number as usize
}
