use std::ffi::c_void;
use std::ptr;

use napi::bindgen_prelude::{Function, JsValue};
use napi::{Env, Result, sys};
use nodepoll::Host;

use crate::error::check;

/// The pollers' way to wake the JavaScript thread: one weak thread-safe function for the life of
/// the environment. It carries no data, and keeps the process alive only while it is held.
pub(crate) struct Doorbell {
    function: sys::napi_threadsafe_function,
}

// SAFETY: Node-API allows a thread-safe function to be called from any thread. Everything else is
// done on the JavaScript thread, by the owner of the runtime.
unsafe impl Send for Doorbell {}
// SAFETY: as above; calls from several threads at once are what it is for.
unsafe impl Sync for Doorbell {}

impl Doorbell {
    pub(crate) fn new(env: &Env, callback: &Function<'_, (), ()>) -> Result<Self> {
        let name = env.create_string("nodepoll")?;
        let mut function = ptr::null_mut();
        // SAFETY: `env`, `callback` and `name` are values of this call, on the JavaScript thread;
        // the null pointers stand for what is not wanted, and `function` is there to be filled.
        let status = unsafe {
            sys::napi_create_threadsafe_function(
                env.raw(),
                callback.raw(),
                ptr::null_mut(),
                name.raw(),
                // A second call while one is queued would tell nothing new.
                1,
                1,
                ptr::null_mut(),
                None,
                ptr::null_mut(),
                Some(call),
                &raw mut function,
            )
        };
        check(status, "napi_create_threadsafe_function")?;
        let doorbell = Self { function };
        doorbell.hold(env, false)?;
        Ok(doorbell)
    }

    /// Whether the process stays alive for the sake of this runtime.
    pub(crate) fn hold(&self, env: &Env, hold: bool) -> Result<()> {
        let call = if hold {
            sys::napi_ref_threadsafe_function
        } else {
            sys::napi_unref_threadsafe_function
        };
        // SAFETY: the function lives as long as the environment, whose thread this is.
        let status = unsafe { call(env.raw(), self.function) };
        check(status, "napi_ref_threadsafe_function")
    }
}

impl Host for Doorbell {
    fn wake(&self) {
        let mode = sys::ThreadsafeFunctionCallMode::nonblocking;
        // SAFETY: the pollers, which call this, are joined before the environment ends, and the
        // function lives as long as the environment. A full queue is as good as a call.
        let _ = unsafe { sys::napi_call_threadsafe_function(self.function, ptr::null_mut(), mode) };
    }
}

/// Runs on the JavaScript thread for each ring.
unsafe extern "C" fn call(
    env: sys::napi_env,
    callback: sys::napi_value,
    _context: *mut c_void,
    _data: *mut c_void,
) {
    if env.is_null() || callback.is_null() {
        // The environment is ending.
        return;
    }
    let mut receiver = ptr::null_mut();
    // SAFETY: Node-API has opened a handle scope and passes its own environment.
    let status = unsafe { sys::napi_get_undefined(env, &raw mut receiver) };
    if status != sys::Status::napi_ok {
        return;
    }
    let mut result = ptr::null_mut();
    // SAFETY: `callback` is the function given at creation, `receiver` a value of this scope. An
    // exception stays pending, and Node makes an uncaught exception of it.
    let _ = unsafe {
        sys::napi_call_function(env, receiver, callback, 0, ptr::null(), &raw mut result)
    };
}
