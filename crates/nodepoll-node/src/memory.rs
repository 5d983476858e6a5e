use std::ffi::c_void;
use std::ptr::{self, NonNull};

use linkbuf::Chunk;
use napi::{Env, Error, JsValue, Result, Status, Unknown, sys};
use nodepoll::Words;

use crate::error::check;

/// Memory that JavaScript has allocated and lent for good: its reference is dropped only when no
/// thread of ours runs any more.
#[derive(Default)]
pub(crate) struct Granted {
    references: Vec<sys::napi_ref>,
}

/// Where a typed array lies.
struct View {
    data: NonNull<c_void>,
    elements: usize,
}

impl Granted {
    /// Takes an `Int32Array` as words.
    pub(crate) fn words(&mut self, env: Env, array: &Unknown<'_>) -> Result<Words> {
        let View { data, elements } = view(env, array, sys::TypedarrayType::int32_array)?;
        self.keep(env, array)?;
        // SAFETY: V8 aligns array buffers to eight bytes and the array starts at their beginning;
        // its memory neither moves nor goes while `references` holds the array, which ends after
        // all threads have been joined. The package keeps these arrays to itself and touches them
        // by 32-bit accesses.
        Ok(unsafe { Words::from_raw(data.cast(), elements) })
    }

    /// Takes a `Uint8Array` as a chunk of the arena.
    pub(crate) fn chunk(&mut self, env: Env, array: &Unknown<'_>) -> Result<Chunk> {
        let View { data, elements } = view(env, array, sys::TypedarrayType::uint8_array)?;
        self.keep(env, array)?;
        // SAFETY: as for `words`; the package grants memory that JavaScript cannot detach (it
        // belongs to a WebAssembly memory), and hands out views only of what was leased to it.
        Ok(unsafe { Chunk::from_raw(data.cast(), elements) })
    }

    /// Lets go of all memory. The caller has joined all threads that used it.
    pub(crate) fn free(&mut self, env: Env) {
        for reference in self.references.drain(..) {
            // SAFETY: each reference was made by `keep` in this environment and is deleted once.
            let _ = unsafe { sys::napi_delete_reference(env.raw(), reference) };
        }
    }

    fn keep(&mut self, env: Env, array: &Unknown<'_>) -> Result<()> {
        let mut reference = ptr::null_mut();
        // SAFETY: `array` is a value of this call, and `reference` is there to be filled.
        let status =
            unsafe { sys::napi_create_reference(env.raw(), array.raw(), 1, &raw mut reference) };
        check(status, "napi_create_reference")?;
        self.references.push(reference);
        Ok(())
    }
}

fn view(env: Env, array: &Unknown<'_>, kind: sys::napi_typedarray_type) -> Result<View> {
    let mut found = 0;
    let mut elements = 0;
    let mut data = ptr::null_mut();
    // SAFETY: `array` is a value of this call; a null pointer stands for what is not wanted, the
    // others are there to be filled.
    let status = unsafe {
        sys::napi_get_typedarray_info(
            env.raw(),
            array.raw(),
            &raw mut found,
            &raw mut elements,
            &raw mut data,
            ptr::null_mut(),
            ptr::null_mut(),
        )
    };
    check(status, "napi_get_typedarray_info")?;
    match NonNull::new(data) {
        Some(data) if found == kind && elements > 0 => Ok(View { data, elements }),
        _ => Err(Error::new(
            Status::InvalidArg,
            "not a typed array of the kind that is wanted",
        )),
    }
}
