use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::rc::Rc;

use napi::bindgen_prelude::{FromNapiValue, Unknown};
use napi::{Env, Result, sys};

use crate::error::check;
use crate::runtime::Core;

/// Makes the function that JavaScript calls once a batch. Written by hand: without arguments and
/// result it costs a tenth of a generated one.
pub(crate) fn exchange_function<'env>(env: &'env Env, core: &Rc<Core>) -> Result<Unknown<'env>> {
    // Never given back: JavaScript may keep the function for as long as the environment lives.
    let data = Rc::into_raw(Rc::clone(core)).cast_mut().cast::<c_void>();
    let mut function = ptr::null_mut();
    // SAFETY: `exchange` is what Node-API wants, `data` stays valid for ever, `function` is there
    // to be filled; a null name means none.
    let status = unsafe {
        sys::napi_create_function(
            env.raw(),
            ptr::null(),
            0,
            Some(exchange),
            data,
            &raw mut function,
        )
    };
    check(status, "napi_create_function")?;
    // SAFETY: the call has just made this value in this environment.
    unsafe { Unknown::from_napi_value(env.raw(), function) }
}

unsafe extern "C" fn exchange(
    env: sys::napi_env,
    info: sys::napi_callback_info,
) -> sys::napi_value {
    let mut data = ptr::null_mut();
    // SAFETY: both are what Node-API passed; null pointers stand for what is not wanted.
    let status = unsafe {
        sys::napi_get_cb_info(
            env,
            info,
            ptr::null_mut(),
            ptr::null_mut(),
            ptr::null_mut(),
            &raw mut data,
        )
    };
    if status != sys::Status::napi_ok || data.is_null() {
        return ptr::null_mut();
    }
    // SAFETY: `data` is the pointer that `exchange_function` leaked, a `Core` on its own thread.
    let core = unsafe { &*data.cast::<Core>() };
    if catch_unwind(AssertUnwindSafe(|| core.exchange())).is_err() {
        let message = c"the exchange has panicked";
        // SAFETY: both strings end in a zero, and the environment is the caller's.
        let _ = unsafe {
            sys::napi_throw_error(env, c"ERR_NODEPOLL_LOOP_FAILED".as_ptr(), message.as_ptr())
        };
    }
    ptr::null_mut()
}
