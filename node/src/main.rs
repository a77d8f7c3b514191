//! The program `artel`. All of it is in the library, so that tests and benches reach it too.

fn main() -> std::process::ExitCode {
    artel_node::run()
}
