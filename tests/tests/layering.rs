//! The layering test: reads `cargo metadata` and fails on an arrow that the architecture does not draw, on a heavy crate
//! outside its home, and on anything in a pure crate that reaches for the world.

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, TargetKind};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::process::Command;

/// Which crates of the house each crate may use to be built. `artel-tests` may use all of them.
const ARROWS: &[(&str, &[&str])] = &[
    ("artel-protocol", &[]),
    ("artel-reputation", &["artel-protocol"]),
    ("artel-federation", &["artel-reputation", "artel-protocol"]),
    ("artel-audit", &["artel-protocol"]),
    ("artel-mesh", &["artel-protocol"]),
    ("artel-runner", &["artel-protocol"]),
    ("artel-vault", &["artel-protocol"]),
    ("artel-web", &["artel-protocol"]),
    ("artel-netsim", &["artel-federation", "artel-reputation", "artel-protocol", "artel-audit"]),
    (
        "artel-node",
        &[
            "artel-federation",
            "artel-reputation",
            "artel-protocol",
            "artel-audit",
            "artel-mesh",
            "artel-runner",
            "artel-vault",
            "artel-web",
        ],
    ),
];

/// What only a crate's own tests use of the house, beyond the arrows. Nothing does yet.
const TEST_ARROWS: &[(&str, &[&str])] = &[];

/// The crate of whole-system tests.
const TESTS: &str = "artel-tests";

/// Heavy crates, by the beginning of their name, and the only crates that may name them.
const HOMES: &[(&str, &[&str])] = &[
    ("libp2p", &["artel-mesh"]),
    ("wasmtime", &["artel-runner"]),
    ("landlock", &["artel-runner"]),
    ("seccompiler", &["artel-runner"]),
    ("bollard", &["artel-runner"]),
    ("russh", &["artel-runner"]),
    ("openmls", &["artel-vault"]),
    ("sled", &["artel-audit"]),
    ("crc32c", &["artel-audit"]),
    ("chacha20", &["artel-audit", "artel-vault"]),
    // Sealing is audit's, acknowledgements are signed in node, the handshake of a WebSocket (SHA-1, RFC 6455) is web's.
    ("aws-lc", &["artel-audit", "artel-node", "artel-web"]),
    ("axum", &["artel-web"]),
    ("askama", &["artel-web"]),
    ("schemars", &["artel-web"]),
    ("matchit", &["artel-web"]),
    ("tower", &["artel-web"]),
    ("tokio-rustls", &["artel-web"]),
    // The server is web's, the command line's client is node's.
    ("hyper", &["artel-web", "artel-node"]),
    ("jsonschema", &["artel-node"]),
    ("jsonwebtoken", &["artel-node"]),
    ("clap", &["artel-node"]),
    ("tracing-subscriber", &["artel-node"]),
    ("reqwest", &["artel-node"]),
    // The one encoding: protocol owns it, the two derive it for what they write down.
    ("bincode", &["artel-protocol", "artel-reputation", "artel-federation"]),
    ("ed25519-dalek", &["artel-protocol"]),
];

/// Crates without clock, randomness, files, sockets, threads: the simulator runs what ships.
const PURE: &[&str] = &["artel-protocol", "artel-reputation", "artel-federation"];

/// All that a pure crate may name beside its neighbours.
const PURE_MAY_NAME: &[&str] =
    &["base64", "bincode", "bs58", "ed25519-dalek", "hex", "serde", "sha2", "thiserror", "zeroize"];

/// What must not be anywhere below a pure crate: operating system, runtime, randomness, clock.
const PURE_NEVER_REACHES: &[&str] = &[
    "tokio",
    "mio",
    "socket2",
    "libp2p",
    "sled",
    "rustix",
    "libc",
    "nix",
    "getrandom",
    "rand",
    "axum",
    "hyper",
    "reqwest",
    "chrono",
    "time",
    "jiff",
    "uuid",
    "tracing",
    "parking_lot",
    "crossbeam-utils",
    "wasmtime",
];

/// Top-level folders and what they hold; nothing else is a member of the house.
const MEMBERS_DIRS: &[&str] = &["protocol", "reputation", "federation", "node", "web", "netsim", "tests"];

#[test]
fn every_arrow_is_one_that_the_architecture_draws() {
    assert_eq!(violations(&metadata(workspace_metadata())), Vec::<String>::new());
}

#[test]
fn what_a_pure_crate_is_built_of_reaches_for_nothing_of_the_world() {
    for pure in PURE {
        let below = tree_below(pure);
        assert!(below.contains("sha2"), "{pure}: the tree was not read: {below:?}");
        let reached: Vec<_> = PURE_NEVER_REACHES.iter().filter(|name| below.contains(**name)).collect();
        assert!(
            reached.is_empty(),
            "{pure} reaches {reached:?}; see: cargo tree -p {pure} -e normal,build -i NAME"
        );
    }
}

#[test]
fn a_planted_wrong_arrow_is_seen() {
    let good = workspace_metadata();
    for (from, to, kind, wanted) in [
        ("artel-protocol", "artel-federation", None, "artel-protocol -> artel-federation is not drawn"),
        ("artel-federation", "artel-node", None, "artel-federation -> artel-node is not drawn"),
        ("artel-web", "artel-federation", None, "artel-web -> artel-federation is not drawn"),
        ("artel-audit", "artel-federation", Some("build"), "artel-audit -> artel-federation is not drawn"),
        (
            "artel-reputation",
            "artel-audit",
            Some("dev"),
            "artel-reputation -> artel-audit is not drawn for tests",
        ),
        ("artel-node", "artel-tests", None, "artel-node -> artel-tests is not drawn"),
        ("artel-node", "sled", None, "sled is named by artel-node"),
        ("artel-web", "libp2p-kad", None, "libp2p-kad is named by artel-web"),
        ("artel-node", "wasmtime-wasi", None, "wasmtime-wasi is named by artel-node"),
        ("artel-node", "axum", None, "axum is named by artel-node"),
        ("artel-web", "jsonschema", None, "jsonschema is named by artel-web"),
        ("artel-protocol", "tokio", None, "artel-protocol is pure and names tokio"),
        ("artel-federation", "rand", None, "artel-federation is pure and names rand"),
        ("artel-reputation", "chrono", Some("build"), "artel-reputation is pure and names chrono"),
    ] {
        let planted = plant(&good, from, to, kind);
        let found = violations(&metadata(planted));
        assert!(found.iter().any(|v| v.contains(wanted)), "{from} -> {to} ({kind:?}): {found:?}");
    }
}

#[test]
fn a_planted_stranger_in_the_house_is_seen() {
    let mut planted = workspace_metadata();
    let package = find(&mut planted, "artel-web");
    package["name"] = json!("artel-helpers");
    let found = violations(&metadata(planted));
    assert!(found.iter().any(|v| v.contains("artel-helpers is not in the house")), "{found:?}");
}

/// All that is wrong with the workspace's arrows.
fn violations(metadata: &Metadata) -> Vec<String> {
    let mut found = Vec::new();
    for package in metadata.workspace_packages() {
        let name = package.name.as_str();
        if name != TESTS && !ARROWS.iter().any(|(from, _)| *from == name) {
            found.push(format!("{name} is not in the house; draw it or remove it"));
            continue;
        }
        check_place(metadata, package, &mut found);
        for dependency in &package.dependencies {
            let to = dependency.name.as_str();
            let for_tests = dependency.kind == DependencyKind::Development;
            if to.starts_with("artel-") {
                check_arrow(name, to, for_tests, &mut found);
            } else if !for_tests {
                check_home(name, to, &mut found);
            }
        }
    }
    found
}

/// Each member lives under one of the folders that were agreed on.
fn check_place(metadata: &Metadata, package: &Package, found: &mut Vec<String>) {
    let inside = package.manifest_path.strip_prefix(&metadata.workspace_root);
    let folder = inside.ok().and_then(|path| path.components().next()).map(|folder| folder.to_string());
    if !folder.as_deref().is_some_and(|folder| MEMBERS_DIRS.contains(&folder)) {
        found.push(format!(
            "{} lives in {}, which is no folder of the house",
            package.name, package.manifest_path
        ));
    }
    let library = |kind: &TargetKind| *kind == TargetKind::Lib;
    if !package.targets.iter().any(|target| target.kind.iter().any(library)) {
        found.push(format!("{} has no library", package.name));
    }
}

fn check_arrow(from: &str, to: &str, for_tests: bool, found: &mut Vec<String>) {
    let drawn = |table: &[(&str, &[&str])]| table.iter().any(|(f, tos)| *f == from && tos.contains(&to));
    if from == TESTS || drawn(ARROWS) || for_tests && drawn(TEST_ARROWS) {
        return;
    }
    let what = if for_tests { " for tests" } else { "" };
    found.push(format!("{from} -> {to} is not drawn{what}"));
}

fn check_home(from: &str, to: &str, found: &mut Vec<String>) {
    let own = |heavy: &str| to == heavy || to.strip_prefix(heavy).is_some_and(|rest| rest.starts_with('-'));
    let home =
        HOMES.iter().find(|(heavy, _)| to == *heavy).or_else(|| HOMES.iter().find(|(heavy, _)| own(heavy)));
    if let Some((_, homes)) = home
        && !homes.contains(&from)
    {
        found.push(format!("{to} is named by {from}; its home is {homes:?}"));
    }
    if PURE.contains(&from) && !PURE_MAY_NAME.contains(&to) {
        found.push(format!("{from} is pure and names {to}"));
    }
}

fn cargo() -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).env_remove("RUSTC_WRAPPER");
    cargo
}

fn workspace_metadata() -> Value {
    let output = cargo()
        .args(["metadata", "--offline", "--locked", "--format-version", "1", "--no-deps"])
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo writes JSON")
}

fn metadata(value: Value) -> Metadata {
    MetadataCommand::parse(value.to_string()).expect("metadata as cargo writes it")
}

/// Names of all crates that one crate alone is built of, with the features that it alone asks for.
fn tree_below(package: &str) -> BTreeSet<String> {
    let output = cargo()
        .args([
            "tree",
            "--offline",
            "--locked",
            "-e",
            "normal,build",
            "--prefix",
            "none",
            "--no-dedupe",
            "-p",
            package,
        ])
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("cargo writes UTF-8");
    text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

fn find<'a>(metadata: &'a mut Value, name: &str) -> &'a mut Value {
    let packages = metadata["packages"].as_array_mut().expect("packages");
    packages.iter_mut().find(|package| package["name"] == name).expect("a member of the workspace")
}

/// The metadata with one more dependency.
fn plant(good: &Value, from: &str, to: &str, kind: Option<&str>) -> Value {
    let mut planted = good.clone();
    let dependency = json!({
        "name": to, "source": null, "req": "*", "kind": kind, "rename": null, "optional": false,
        "uses_default_features": true, "features": [], "target": null, "registry": null
    });
    let package = find(&mut planted, from);
    package["dependencies"].as_array_mut().expect("dependencies").push(dependency);
    planted
}
