//! The program `artel`. All of it is in the library, so that tests and benches reach it too.

/// Memory here is often taken on one thread and freed on another, which costs the C library's allocator a fifth of all.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    artel_node::run()
}
