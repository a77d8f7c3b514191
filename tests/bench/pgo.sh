#!/usr/bin/env bash
# Builds the program of the profile `dist` by what it does: once with counters, which `artel bench` then works with, and once
# optimised for what they counted. An hour on two cores; the program is in target/<host>/dist.
#   tests/bench/pgo.sh
# llvm-profdata must read what this toolchain's LLVM counts: rustup's component llvm-tools has it, Debian's llvm-19 does it, too, and
# LLVM_PROFDATA names another.
set -euo pipefail
cd "$(dirname "$0")/../.."
host=$(rustc -vV | sed -n 's/^host: //p')
artel=${CARGO_TARGET_DIR:-$PWD/target}/$host/dist/artel
profdata=${LLVM_PROFDATA:-}
for found in "$(rustc --print sysroot)/lib/rustlib/$host/bin/llvm-profdata" llvm-profdata-{22,21,20,19}; do
    profdata=${profdata:-$(command -v "$found" || true)}
done
[ -n "$profdata" ] || { echo "no llvm-profdata: rustup component add llvm-tools, or name one by LLVM_PROFDATA" >&2; exit 1; }
counts=$(mktemp -d); trap 'rm -rf "$counts"' EXIT

build() { # flags for the compiler; for the host by name, so that build scripts and macros are built without them
    RUSTFLAGS=$1 CARGO_INCREMENTAL=0 cargo build --locked --profile dist -p artel-node --bin artel --target "$host"
}

build "-Cprofile-generate=$counts"
for work in "--tasks 30000" "--tasks 15000 --workers 64" "--tasks 5000 --plain" "--tasks 4000 --away"; do
    # shellcheck disable=SC2086
    "$artel" bench throughput $work
done
"$artel" bench claim
"$profdata" merge -o "$counts/all.profdata" "$counts"/*.profraw
build "-Cprofile-use=$counts/all.profdata"
echo "$artel"
