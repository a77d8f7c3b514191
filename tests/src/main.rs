//! The program under test: the node's own `run`, in a binary of the tests' package, so that it is built before they run.

use std::process::ExitCode;

fn main() -> ExitCode {
    artel_node::run()
}
