use std::process::Command;

const ALONE: &str = "NODEPOLL_TEST_ALONE";

/// Runs `body` in a process of its own: for what belongs to a whole process, like its descriptors.
///
/// The child is this test binary, asked for the one test that calls this.
pub(crate) fn alone<F: FnOnce()>(body: F) {
    let name = name_of::<F>();
    if std::env::var(ALONE).is_ok_and(|test| test == name) {
        return body();
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args([&*name, "--exact", "--test-threads=1"])
        .env(ALONE, &name)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && told.contains("1 passed"),
        "{}: {told}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The test that a closure was written in: `it::module::test::{{closure}}` without its ends.
fn name_of<F>() -> String {
    let path = std::any::type_name::<F>();
    let path = path.strip_suffix("::{{closure}}").unwrap();
    path.split_once("::").unwrap().1.to_owned()
}
