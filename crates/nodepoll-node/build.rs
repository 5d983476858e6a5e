//! Links the binding as a Node addon.

fn main() {
    napi_build::setup();
}
