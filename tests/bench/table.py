"""table.py results.jsonl [first line]: one row for each turn of a peer and variant, then the best and the ratios to Artel's rows; the floor's lines below."""
import json, sys
rows, turns, floor, first = {}, {}, [], int(sys.argv[2]) if len(sys.argv) > 2 else 1
for i, line in enumerate(open(sys.argv[1]), 1):
    if i < first: continue
    r = json.loads(line)
    if r["peer"] == "floor": floor.append(r); continue
    m, g, who = r["metric"], r.get, (r["peer"], r["variant"])
    if m == "idle": turns[who] = turns.get(who, 0) + 1
    k = (*who, turns.get(who, 0)); d = rows.setdefault(k, {"peer": r["peer"], "variant": r["variant"], "turn": k[2]})
    if "error" in r: d[m] = "error"; print("#", *k, m, r["error"], sep="\t"); continue
    if m == "idle": d.update(idle_MB=g("all_pss_mb"), server_MB=g("server_pss_mb"), idle_cpu=g("idle_cpu_pct"))
    if m == "latency": d.update(p50_ms=r["result_ms"]["p50"], p95_ms=r["result_ms"]["p95"], p99_ms=r["result_ms"]["p99"], claim_p50=g("claim_ms", {}).get("p50"))
    if m == "throughput": d.update(tasks_s=g("tasks_s"), cpu_us=g("cpu_us_per_task"), server_us=g("server_cpu_us_per_task"), fsync_us=g("fsync_p50_us"), load=g("load1"), MB_after=g("after_server_pss_mb"))
    if m == "contention": d.update(claims_s=g("claims_s"), double=g("double_claims"), lost=r["tasks"] - r["claimed"])
    if m == "named_race": d.update(race_wins_s=g("wins_s"), race_tries_s=g("attempts_s"), race_double=g("double_claims"), race_lost=r["tasks"] - r["claimed"])
    if m == "throughput" and "api_ms" in r: d.update(post_p95=r["api_ms"]["p95"])
    if m == "post_wrk": d.update(wrk_s=g("req_s"), wrk_p95=r["api_ms"]["p95"])
    if m == "api_open_200": d.update(post200_p95=r["api_ms"]["p95"])
    if m == "api_get": d.update(get_s=g("req_s"))
    if m == "api_health": d.update(health_s=g("req_s"))
    if m == "websocket_1000": d.update(sockets_ok=g("ok_pct"), socket_KB=g("server_kb_per_conn"), connect_p95=r["connect_ms"]["p95"])
    if m == "growth": d[f"drain@{g('backlog')//1000}k"] = g("tasks_s"); d["MB_grown"] = g("server_pss_mb")
cols = ["peer", "variant", "turn", "load", "fsync_us", "tasks_s", "server_us", "cpu_us", "p50_ms", "p95_ms", "p99_ms", "claim_p50", "claims_s", "double", "lost", "race_wins_s", "race_tries_s", "race_double", "race_lost", "idle_cpu", "idle_MB", "server_MB", "MB_after"]
cols += ["post_p95", "wrk_p95", "wrk_s", "post200_p95", "get_s", "health_s", "sockets_ok", "socket_KB", "connect_p95"]
cols += sorted({c for d in rows.values() for c in d if c.startswith("drain@")}, key=lambda c: int(c[6:-1])) + ["MB_grown"]
cols = cols[:3] + [c for c in cols[3:] if any(c in d for d in rows.values())]
t = [cols] + [["-" if d.get(c) is None else str(d[c]) for c in cols] for d in rows.values()]
w = [max(len(x[i]) for x in t) for i in range(len(cols))]
for x in t: print("  ".join(v.ljust(n) for v, n in zip(x, w)).rstrip())
higher = [c for c in cols if c in ("tasks_s", "claims_s", "race_wins_s", "race_tries_s", "get_s", "health_s", "wrk_s") or c.startswith("drain@")]
lower = ["server_us", "cpu_us", "p50_ms", "p95_ms", "p99_ms", "claim_p50", "idle_cpu", "server_MB", "post_p95", "wrk_p95", "post200_p95", "socket_KB", "connect_p95"]
best = {}
for (peer, variant, _), d in rows.items():
    for c in higher + lower:
        if isinstance(d.get(c), (int, float)): b = best.setdefault((peer, variant), {}); b[c] = (max if c in higher else min)(b.get(c, d[c]), d[c])
print("\nbest of the turns:")
for who, b in best.items(): print(*who, json.dumps(b))
for (peer, variant), b in best.items():
    for (other, its), o in best.items():
        if peer == "artel" and other != "artel": print(f"artel {variant} ÷ {other} {its}:", json.dumps({c: round(b[c] / o[c], 2) for c in b if o.get(c)}))
print()
for r in floor: print(r["peer"], r["metric"], json.dumps({k: v for k, v in r.items() if k not in ("at", "peer", "variant", "durable", "version", "metric")}))
