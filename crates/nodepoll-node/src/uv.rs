use std::ffi::{c_int, c_void};
use std::mem::size_of;
use std::ptr::NonNull;
use std::sync::OnceLock;

/// `UV_POLL` and `UV_TIMER` of libuv's list of handle types, which its ABI has fixed.
const POLL: c_int = 8;
const TIMER: c_int = 13;

/// `UV_READABLE`.
const READABLE: c_int = 1;

type Handle = *mut c_void;
type OnPoll = unsafe extern "C" fn(handle: Handle, status: c_int, events: c_int);
type OnHandle = unsafe extern "C" fn(handle: Handle);

/// Defines the table of libuv's functions that are looked up in the process.
macro_rules! functions {
    ($($name:ident: fn($($argument:ty),*) $(-> $result:ty)?,)*) => {
        /// The functions of libuv that this process exports, if it is one that does.
        ///
        /// They are looked up at run time: a library that was linked against them could not be
        /// loaded by a runtime without libuv.
        pub(crate) struct Uv {
            $($name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
        }

        impl Uv {
            #[cfg(unix)]
            fn find() -> Option<Self> {
                let process = libloading::os::unix::Library::this();
                // SAFETY: the types are those of libuv's documentation, which have not changed
                // since version 1.19, and the process is never unloaded.
                $(let $name = unsafe { process.get(concat!(stringify!($name), "\0").as_bytes()) };)*
                Some(Self { $($name: *$name.ok()?,)* })
            }
        }
    };
}

functions! {
    uv_handle_size: fn(c_int) -> usize,
    uv_handle_get_data: fn(Handle) -> *mut c_void,
    uv_handle_set_data: fn(Handle, *mut c_void),
    uv_unref: fn(Handle),
    uv_close: fn(Handle, OnHandle),
    uv_poll_init: fn(*mut c_void, Handle, c_int) -> c_int,
    uv_poll_start: fn(Handle, c_int, OnPoll) -> c_int,
    uv_poll_stop: fn(Handle) -> c_int,
    uv_timer_init: fn(*mut c_void, Handle) -> c_int,
    uv_timer_start: fn(Handle, OnHandle, u64, u64) -> c_int,
    uv_timer_stop: fn(Handle) -> c_int,
}

impl Uv {
    /// `None` in a process that exports no libuv.
    pub(crate) fn get() -> Option<&'static Self> {
        static UV: OnceLock<Option<Uv>> = OnceLock::new();
        UV.get_or_init(Self::find).as_ref()
    }

    #[cfg(not(unix))]
    fn find() -> Option<Self> {
        // What libuv watches there are sockets, and a selector is none.
        None
    }
}

/// A descriptor that is watched, and a time to come back at the latest, in the event loop of
/// libuv. Neither keeps the process alive. All calls are made on the thread of that loop.
///
/// It has to be closed by [`close`](Self::close): libuv refers to its memory until it says that
/// it does so no more.
pub(crate) struct Watcher {
    uv: &'static Uv,
    poll: Handle,
    timer: Handle,
}

/// What [`Watcher::close`] keeps until libuv lets go of a handle.
struct Closing<T> {
    words: usize,
    _guard: T,
}

impl Watcher {
    /// `owner` is what [`owner_of`](Self::owner_of) finds in the callbacks.
    ///
    /// # Safety
    /// `event_loop` is the loop of this thread, and is not ended before the watcher is closed.
    pub(crate) unsafe fn new(
        uv: &'static Uv,
        event_loop: *mut c_void,
        descriptor: c_int,
        owner: *mut c_void,
    ) -> Option<Self> {
        let (poll, timer) = (uv.allocate(POLL), uv.allocate(TIMER));
        // SAFETY: the memory is as large as libuv has asked for, and the loop is the caller's.
        if unsafe { (uv.uv_poll_init)(event_loop, poll, descriptor) } != 0 {
            Uv::free(poll, uv.words(POLL));
            Uv::free(timer, uv.words(TIMER));
            return None;
        }
        // SAFETY: as above, for memory of the length of a timer; it cannot fail.
        unsafe { (uv.uv_timer_init)(event_loop, timer) };
        for handle in [poll, timer] {
            // SAFETY: the handle has just been made, and its owner is the caller's.
            unsafe { (uv.uv_handle_set_data)(handle, owner) };
            // SAFETY: the handle has just been made, and is not closed before `close`.
            unsafe { (uv.uv_unref)(handle) };
        }
        Some(Self { uv, poll, timer })
    }

    /// Calls back whenever the descriptor is readable.
    pub(crate) fn watch(&self, callback: OnPoll) {
        // SAFETY: the handle is alive until `close`, and its descriptor is open: it fails only
        // for one that is not.
        unsafe { (self.uv.uv_poll_start)(self.poll, READABLE, callback) };
    }

    /// Calls back once, after so many milliseconds.
    pub(crate) fn call_in(&self, milliseconds: u64, callback: OnHandle) {
        // SAFETY: the handle is alive until `close`, and there is a callback.
        unsafe { (self.uv.uv_timer_start)(self.timer, callback, milliseconds, 0) };
    }

    /// Takes [`call_in`](Self::call_in) back.
    pub(crate) fn call_never(&self) {
        // SAFETY: the handle is alive until `close`, and it may be stopped at any time.
        unsafe { (self.uv.uv_timer_stop)(self.timer) };
    }

    /// No callback comes until the next `watch` or `call_in`.
    pub(crate) fn stop(&self) {
        // SAFETY: the handle is alive until `close`, and it may be stopped at any time.
        unsafe { (self.uv.uv_poll_stop)(self.poll) };
        self.call_never();
    }

    /// Lets go of the descriptor at once. `guard` is dropped, on this thread, when libuv has let
    /// go of all memory.
    pub(crate) fn close<T: Clone>(self, guard: &T) {
        for (handle, kind) in [(self.poll, POLL), (self.timer, TIMER)] {
            let closing = Box::new(Closing {
                words: self.uv.words(kind),
                _guard: guard.clone(),
            });
            let data = Box::into_raw(closing).cast();
            // SAFETY: the handle is alive, and nobody asks for its owner from here on.
            unsafe { (self.uv.uv_handle_set_data)(handle, data) };
            // SAFETY: the handle is alive, and as `self` is consumed it is closed this once.
            unsafe { (self.uv.uv_close)(handle, on_closed::<T>) };
        }
    }

    /// The owner that was given to [`new`](Self::new), in a callback.
    ///
    /// # Safety
    /// `handle` is what libuv has passed to a callback of `watch` or `call_in`.
    pub(crate) unsafe fn owner_of(handle: Handle) -> *mut c_void {
        // Without libuv there are no callbacks of it.
        let Some(uv) = Uv::get() else {
            return std::ptr::null_mut();
        };
        // SAFETY: the caller's promise; a handle in a callback is alive.
        unsafe { (uv.uv_handle_get_data)(handle) }
    }
}

impl Uv {
    /// The length of a handle, in units that are aligned as any handle has to be.
    fn words(&self, kind: c_int) -> usize {
        // SAFETY: it only looks up a length, and both kinds have been defined for ever.
        let bytes = unsafe { (self.uv_handle_size)(kind) };
        bytes.div_ceil(size_of::<u128>())
    }

    fn allocate(&self, kind: c_int) -> Handle {
        let memory: Box<[u128]> = vec![0; self.words(kind)].into();
        Box::into_raw(memory).cast()
    }

    /// Takes back what `allocate` gave.
    fn free(handle: Handle, words: usize) {
        let Some(first) = NonNull::new(handle.cast::<u128>()) else {
            return;
        };
        let memory = NonNull::slice_from_raw_parts(first, words);
        // SAFETY: `allocate` made it of so many words, and libuv refers to it no more.
        drop(unsafe { Box::from_raw(memory.as_ptr()) });
    }
}

unsafe extern "C" fn on_closed<T>(handle: Handle) {
    // SAFETY: libuv passes the handle that was closed, and still knows its data.
    let data = unsafe { Watcher::owner_of(handle) };
    // SAFETY: `close` stored a box of this type, and libuv calls once for a handle.
    let closing = unsafe { Box::from_raw(data.cast::<Closing<T>>()) };
    Uv::free(handle, closing.words);
}
