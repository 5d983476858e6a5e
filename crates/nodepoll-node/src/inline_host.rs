use std::cell::{Cell, RefCell};
use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::rc::{Rc, Weak};
use std::time::Duration;

use napi::bindgen_prelude::{Function, JsValue};
use napi::{Env, Error, Result, Status, sys};
use nodepoll::{AfterTurn, InlineDriver, Runtime};

use crate::error::check;
use crate::runtime::Core;
use crate::uv::{Uv, Watcher};

/// Turns drivers on the JavaScript thread, inside the event loop of libuv.
///
/// libuv watches what a driver learns from the kernel with, and calls when there is something.
/// The driver is turned then and there, and JavaScript is called for the events.
pub(crate) struct InlineHost {
    env: Env,
    pump: sys::napi_ref,
    /// One for each lane, in this order.
    seats: Vec<Rc<Seat>>,
}

/// The place of one lane's driver.
struct Seat {
    core: Weak<Core>,
    /// While the host has it.
    driver: RefCell<Option<InlineDriver>>,
    /// `None` before the first driver, and once the environment is ending.
    watcher: RefCell<Option<Watcher>>,
    is_timed: Cell<bool>,
}

/// The right of an asynchronous clean-up hook to keep the environment until it is done.
struct Hook(sys::napi_async_cleanup_hook_handle);

impl Drop for Hook {
    fn drop(&mut self) {
        // SAFETY: the hook has run, its handle is still valid, and this is told once.
        let _ = unsafe { sys::napi_remove_async_cleanup_hook(self.0) };
    }
}

impl InlineHost {
    /// `pump` is called when there are events.
    pub(crate) fn new(
        env: &Env,
        pump: &Function<'_, (), ()>,
        lanes: usize,
        core: &Weak<Core>,
    ) -> Result<Self> {
        let mut reference = ptr::null_mut();
        // SAFETY: `pump` is a value of this call, and `reference` is there to be filled.
        let status =
            unsafe { sys::napi_create_reference(env.raw(), pump.raw(), 1, &raw mut reference) };
        check(status, "napi_create_reference")?;
        let seat = || Seat {
            core: Weak::clone(core),
            driver: RefCell::new(None),
            watcher: RefCell::new(None),
            is_timed: Cell::new(false),
        };
        Ok(Self {
            env: *env,
            pump: reference,
            seats: (0..lanes).map(|_| Rc::new(seat())).collect(),
        })
    }

    /// Takes over what the runtime offers, and turns it for the first time. Exchange afterwards:
    /// there may be events.
    pub(crate) fn take_over(&self, runtime: &Runtime) -> Result<()> {
        for driver in runtime.take_over() {
            let seat = &self.seats[driver.lane()];
            let descriptor = driver.descriptor();
            seat.driver.replace(Some(driver));
            if seat.watcher.borrow().is_none() {
                let watcher = self.watcher(descriptor, Rc::as_ptr(seat).cast_mut().cast())?;
                seat.watcher.replace(Some(watcher));
            }
            if let Some(watcher) = &*seat.watcher.borrow() {
                watcher.watch(on_readable);
            }
            seat.turn(runtime);
        }
        Ok(())
    }

    /// Lets go of libuv, which lets go of `hook` in its own time.
    fn close(&self, hook: sys::napi_async_cleanup_hook_handle) {
        let hook = Rc::new(Hook(hook));
        for seat in &self.seats {
            if let Some(watcher) = seat.watcher.take() {
                watcher.close(&hook);
            }
            drop(seat.driver.take());
        }
        // SAFETY: the reference was made by `new` in this environment and is deleted once.
        let _ = unsafe { sys::napi_delete_reference(self.env.raw(), self.pump) };
    }

    fn watcher(&self, descriptor: c_int, seat: *mut c_void) -> Result<Watcher> {
        let mut event_loop = ptr::null_mut();
        // SAFETY: the environment is alive, and `event_loop` is there to be filled.
        let status = unsafe { sys::napi_get_uv_event_loop(self.env.raw(), &raw mut event_loop) };
        check(status, "napi_get_uv_event_loop")?;
        // SAFETY: this is the thread of the environment and of its loop, which ends after the
        // clean-up hooks, one of which closes the watcher.
        let watcher = Uv::get()
            .and_then(|uv| unsafe { Watcher::new(uv, event_loop.cast(), descriptor, seat) });
        watcher.ok_or_else(|| Error::new(Status::GenericFailure, "libuv cannot watch the driver"))
    }

    /// Calls JavaScript as libuv's callbacks do: an exception becomes an uncaught one, and
    /// microtasks run afterwards. `true` says that the events are shown already.
    fn call_pump(&self) {
        let env = self.env.raw();
        let mut scope = ptr::null_mut();
        // SAFETY: the environment is alive while libuv calls, and `scope` is there to be filled.
        if unsafe { sys::napi_open_handle_scope(env, &raw mut scope) } != sys::Status::napi_ok {
            return;
        }
        let [mut global, mut pump, mut result, mut are_shown] = [ptr::null_mut(); 4];
        // SAFETY: a handle scope is open, and `global` is there to be filled.
        let _ = unsafe { sys::napi_get_global(env, &raw mut global) };
        // SAFETY: as above; the reference is alive until the clean-up hook.
        let _ = unsafe { sys::napi_get_reference_value(env, self.pump, &raw mut pump) };
        // SAFETY: a handle scope is open, and `are_shown` is there to be filled.
        let _ = unsafe { sys::napi_get_boolean(env, true, &raw mut are_shown) };
        let no_context = ptr::null_mut();
        // SAFETY: both values are of this scope; a context of null is that of the process.
        let status = unsafe {
            sys::napi_make_callback(
                env,
                no_context,
                global,
                pump,
                1,
                &raw const are_shown,
                &raw mut result,
            )
        };
        if status == sys::Status::napi_pending_exception {
            let mut error = ptr::null_mut();
            // SAFETY: the scope is still open, and `error` is there to be filled.
            let _ = unsafe { sys::napi_get_and_clear_last_exception(env, &raw mut error) };
            // SAFETY: `error` is a value of this scope, which is still open.
            let _ = unsafe { sys::napi_fatal_exception(env, error) };
        }
        // SAFETY: the scope was opened above, and is the innermost one.
        let _ = unsafe { sys::napi_close_handle_scope(env, scope) };
    }
}

impl Seat {
    /// Whether JavaScript has to be called for events.
    fn turn(&self, runtime: &Runtime) -> bool {
        let Some(mut driver) = self.driver.take() else {
            return false;
        };
        let (after, has_events) = runtime.turn(&mut driver);
        let watcher = self.watcher.borrow();
        let Some(watcher) = &*watcher else {
            return false;
        };
        match after {
            AfterTurn::Watch(time) => {
                self.come_back(watcher, time);
                self.driver.replace(Some(driver));
            }
            AfterTurn::GiveBack => {
                watcher.stop();
                self.is_timed.set(false);
                runtime.give_back(driver);
            }
            AfterTurn::Failed => watcher.stop(),
        }
        has_events
    }

    fn come_back(&self, watcher: &Watcher, time: Option<Duration>) {
        if let Some(time) = time {
            // Rounded up, so that it is due then.
            let milliseconds = time.as_micros().div_ceil(1000);
            watcher.call_in(u64::try_from(milliseconds).unwrap_or(u64::MAX), on_time);
        } else if self.is_timed.get() {
            watcher.call_never();
        }
        self.is_timed.set(time.is_some());
    }
}

/// Sees to it that the handles of libuv are closed before the environment ends. Register it after
/// the hook that ends the runtime: hooks run in reverse order.
pub(crate) fn add_clean_up(env: &Env, core: &Rc<Core>) -> Result<()> {
    let data = Rc::into_raw(Rc::clone(core)).cast_mut().cast();
    // SAFETY: `clean_up` is what Node-API wants and takes `data` back; a null pointer stands for
    // the handle, which the hook is given anyway.
    let status = unsafe {
        sys::napi_add_async_cleanup_hook(env.raw(), Some(clean_up), data, ptr::null_mut())
    };
    check(status, "napi_add_async_cleanup_hook")
}

unsafe extern "C" fn clean_up(hook: sys::napi_async_cleanup_hook_handle, data: *mut c_void) {
    // SAFETY: `data` is what `add_clean_up` leaked, and the hook runs once.
    let core = unsafe { Rc::from_raw(data.cast::<Core>()) };
    match core.inline() {
        Some(inline) => inline.close(hook),
        None => drop(Hook(hook)),
    }
}

unsafe extern "C" fn on_readable(handle: *mut c_void, _status: c_int, _events: c_int) {
    // SAFETY: libuv passes the handle that called back, which is one of our own.
    turn(unsafe { Watcher::owner_of(handle) });
}

unsafe extern "C" fn on_time(handle: *mut c_void) {
    // SAFETY: libuv passes the handle that called back, which is one of our own.
    turn(unsafe { Watcher::owner_of(handle) });
}

fn turn(seat: *mut c_void) {
    // SAFETY: the owner of a watcher is a seat, which `InlineHost` keeps while it is not closed,
    // and nothing below frees it: clean-up hooks run on an empty stack.
    let seat = unsafe { &*seat.cast::<Seat>() };
    let Some(core) = seat.core.upgrade() else {
        return;
    };
    // The driver catches its panics; one of ours costs this turn.
    let has_events = catch_unwind(AssertUnwindSafe(|| {
        core.with_runtime(|runtime| seat.turn(runtime))
    }));
    if let (Ok(Some(true)), Some(inline)) = (has_events, core.inline()) {
        inline.call_pump();
    }
}
