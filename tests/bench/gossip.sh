#!/usr/bin/env bash
# The model of gossip beside as many real nodes on this machine: copies and hops in turns, with how far apart they are.
#   tests/bench/gossip.sh [NODES] [TURNS]
# What the model is good for is copies and hops; its times are those of links that nobody else uses.
set -euo pipefail
cd "$(dirname "$0")/../.."
nodes=${1:-30} turns=${2:-3}
cargo build --release --quiet -p artel-node -p artel-netsim
bin=${CARGO_TARGET_DIR:-target}/release
lines=$(mktemp)
trap 'rm -f "$lines"' EXIT
for turn in $(seq "$turns"); do
  "$bin/artel" bench gossip --json --nodes "$nodes" --homes "$nodes" --skills 16 --rate 20 --offers 600 >> "$lines"
  "$bin/netsim" gossip --json --nodes "$nodes" --neighbours $((nodes - 1)) --messages 600 --seed "$turn" >> "$lines"
done
python3 - "$lines" <<'P'
import json, sys

rows = [json.loads(line) for line in open(sys.argv[1])]
model = [row for row in rows if row.get("source") == "model"]
real = [row for row in rows if row.get("source") != "model"]
for row in rows:
    if row in model:
        p50, p99 = (row["time_us"][name] / 1000 for name in ("p50", "p99"))
        name = "model"
    else:
        p50, p99 = row["heard_ms"]["p50"], row["heard_ms"]["p99"]
        name = f"real, {row['neighbours_mean']} neighbours, load {row['load1']}"
    print(f"{name}: {row['copies_per_message_and_node']:.2f} copies, {row['hops_mean']:.2f} hops, p50 {p50:.1f} ms, p99 {p99:.1f} ms")
middle = lambda rows, name: sorted(row[name] for row in rows)[len(rows) // 2]
for name in ("copies_per_message_and_node", "hops_mean"):
    ratio = middle(model, name) / middle(real, name)
    print(f"{name}: model {middle(model, name):.2f}, real {middle(real, name):.2f}: {100 * (ratio - 1):+.0f} %")
P
