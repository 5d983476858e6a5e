use napi::{Error, Result, Status, sys};

/// Turns the status of a Node-API call into a result.
pub(crate) fn check(status: sys::napi_status, call: &str) -> Result<()> {
    if status == sys::Status::napi_ok {
        return Ok(());
    }
    Err(Error::new(Status::from(status), format!("{call} failed")))
}
