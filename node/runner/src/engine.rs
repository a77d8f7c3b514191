//! The one way in which guests are compiled and run, and the profile that names it.
//!
//! Everything that could make the same module end otherwise is pinned here. Compiled for a named baseline processor, never for
//! the host, so that code and the fuel at a trap do not depend on which machine compiled it.

use crate::limits::{
    BUFFERS_MAX, CALL_BYTES_MAX, DESCRIPTORS_MAX, INSTANCES_MAX, Limits, MEMORIES_MAX, RANDOM_BYTES_MAX,
    STACK_BYTES_MAX, STDIN_BYTES_MAX, TABLES_MAX,
};
use artel_protocol::id::Digest;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::hash::{Hash, Hasher};
use wasmtime::{Config, Engine, OptLevel, WasmFeatures};

/// The engine and its version. A test compares it with the lock file.
pub const ENGINE: &str = "wasmtime 48.0.8";

/// The version of our own host functions: what a guest can see of them changes only with it.
pub const HOST: u32 = 2;

/// Address space that one memory reserves (4 GiB): all that a 32-bit address reaches, so that no access needs a check. It
/// takes no memory.
const RESERVATION_BYTES: u64 = 4 << 30;
/// Around a memory, for accesses with an offset (32 MiB, the engine's own figure).
const GUARD_BYTES: u64 = 32 << 20;

/// What guests may be written in: the language's version 2 without its newer parts. Relaxed SIMD, threads, several memories,
/// garbage collection, exceptions and 64-bit memories stay off, also where the engine would have them on.
const FEATURES: [WasmFeatures; 9] = [
    WasmFeatures::MUTABLE_GLOBAL,
    WasmFeatures::SATURATING_FLOAT_TO_INT,
    WasmFeatures::SIGN_EXTENSION,
    WasmFeatures::FLOATS,
    WasmFeatures::BULK_MEMORY,
    WasmFeatures::MULTI_VALUE,
    WasmFeatures::REFERENCE_TYPES,
    WasmFeatures::SIMD,
    WasmFeatures::EXTENDED_CONST,
];

/// What an engine is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum For {
    /// Compiling. Only this one knows a profile.
    Compiling,
    /// Running what was compiled: it has no compiler, which a guest that got out could only misuse.
    Running,
}

/// Makes the engine.
pub(crate) fn engine(purpose: For) -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config.wasm_features(WasmFeatures::all(), false);
    for feature in FEATURES {
        config.wasm_features(feature, true);
    }
    match purpose {
        For::Compiling => config.cranelift_nan_canonicalization(true).cranelift_opt_level(OptLevel::Speed),
        For::Running => config.enable_compiler(false),
    };
    config
        .target(target())?
        .consume_fuel(true)
        .epoch_interruption(true)
        .max_wasm_stack(STACK_BYTES_MAX as usize)
        .memory_reservation(RESERVATION_BYTES)
        .memory_guard_size(GUARD_BYTES)
        .memory_reservation_for_growth(0)
        // With it on, loading writes to a file in memory, and fuel does not pay for data.
        .memory_init_cow(false)
        .signals_based_traps(true)
        .native_unwind_info(false)
        .generate_address_map(false)
        .wasm_backtrace_max_frames(None);
    Engine::new(&config)
}

/// The baseline of this architecture.
fn target() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "aarch64-unknown-linux-gnu",
        _ => "x86_64-unknown-linux-gnu",
    }
}

/// Everything that a step's end could depend on, in one digest: engine and version, target, settings, our host functions, and
/// the limits. Two nodes compare fuel only under equal profiles. Compiled code is kept under it.
pub(crate) fn profile(engine: &Engine, limits: &Limits) -> Digest {
    let mut text = format!("artel-runner profile 1\nengine {ENGINE}\nhost {HOST}\ntarget {}\n", target());
    let mut settings = Settings(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut settings);
    let fixed = [
        ("stack_bytes", STACK_BYTES_MAX),
        ("instances", INSTANCES_MAX as u64),
        ("memories", MEMORIES_MAX as u64),
        ("tables", TABLES_MAX as u64),
        ("descriptors", DESCRIPTORS_MAX as u64),
        ("buffers", BUFFERS_MAX.into()),
        ("call_bytes", CALL_BYTES_MAX.into()),
        ("random_bytes", RANDOM_BYTES_MAX.into()),
        ("stdin_bytes", STDIN_BYTES_MAX as u64),
    ];
    let digest = Digest(settings.0.finalize().into());
    let _ = writeln!(text, "settings {digest}");
    for (name, value) in fixed.into_iter().chain(limits.named()) {
        let _ = writeln!(text, "{name} {value}");
    }
    Digest::of(text.as_bytes())
}

/// Collects what the engine hashes of its settings, as it stands.
struct Settings(Sha256);

impl Hasher for Settings {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
    fn finish(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_lock_file_s() {
        let lock = include_str!("../../../Cargo.lock");
        let (name, version) = ENGINE.split_once(' ').expect("a name and a version");
        assert!(lock.contains(&format!("name = \"{name}\"\nversion = \"{version}\"\n")), "{ENGINE}");
    }

    #[test]
    fn the_profile_is_the_same_each_time_and_another_for_another_limit() {
        let limits = Limits::default();
        let engine = || engine(For::Compiling).expect("an engine");
        let first = profile(&engine(), &limits);
        assert_eq!(first, profile(&engine(), &limits));
        let other = Limits { fuel: 1, ..limits };
        assert_ne!(first, profile(&engine(), &other));
    }

    #[test]
    fn what_does_not_repeat_does_not_compile() {
        let engine = engine(For::Compiling).expect("an engine");
        let compiles = |text: &str| engine.precompile_module(&wat::parse_str(text).expect("text")).is_ok();
        assert!(compiles("(module (memory 1) (func (drop (memory.grow (i32.const 1)))))"));
        assert!(compiles("(module (table 1 funcref) (func (drop (table.size 0))))"));
        assert!(compiles("(module (func (result v128) v128.const i64x2 0 0))"));
        for text in [
            "(module (memory 1) (memory 1))",
            "(module (memory 1 1 shared))",
            "(module (memory i64 1))",
            "(module (memory 1) (func (drop (i32.atomic.load (i32.const 0)))))",
            "(module (func (param v128 v128 v128) (result v128)
                (f32x4.relaxed_madd (local.get 0) (local.get 1) (local.get 2))))",
            "(module (type (struct)))",
            "(module (tag))",
            "(module (table 1 externref))",
        ] {
            assert!(!compiles(text), "{text}");
        }
    }
}
