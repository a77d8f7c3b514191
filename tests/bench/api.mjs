// The loops over an HTTP API, the same for every peer: what a POST costs alone, with 64 in flight and at 200 a second, what a GET costs, what
// 1,000 connections that stay open cost. A peer: { peer, variant, durable, version, port, headers, pids, app (the process that holds sockets),
// post() -> path and body, id(answer), task(id) and health (paths), done(f) calls f(id) for each result, connect() -> a socket with close(), settle?() }.
import http from 'node:http'; import fs from 'node:fs'; import { execFile } from 'node:child_process';
import { hr, cfg, emit, pool, pct, usage, sleep, fsyncUs } from './lib.mjs';

// The first posts of a cold client and of cold workers take longer, whoever answers (RESULTS.md tells how much): node compiles them meanwhile. So they
// stand apart.
const WARM_UP = 3000, WRK_SECONDS = 5, OPEN_RATE = 200, OPEN_REQUESTS = 2000, SOCKETS = 1000;

export async function api(peer, dir) {
  const base = { peer: peer.peer, variant: peer.variant, durable: peer.durable, version: peer.version };
  const step = async (metric, fn) => { try { emit({ ...base, metric, ...(await fn()) }); } catch (e) { emit({ ...base, metric, error: String(e.message || e) }); } };
  const agent = new http.Agent({ keepAlive: true, maxSockets: cfg.INFLIGHT });
  const call = (method, path, body) => new Promise((good, bad) => {
    const d = body && JSON.stringify(body), length = d ? { 'content-type': 'application/json', 'content-length': Buffer.byteLength(d) } : {};
    const r = http.request({ host: '127.0.0.1', port: peer.port, path, method, agent, headers: { ...peer.headers, ...length } }, s => {
      let text = ''; s.on('data', more => { text += more; }); s.on('end', () => s.statusCode < 300 ? good(JSON.parse(text)) : bad(new Error(`${s.statusCode} ${text.slice(0, 200)}`)));
    });
    r.on('error', bad); r.end(d);
  });
  const wait = new Map(), early = new Set(); let done = 0;
  await peer.done(id => { done++; const f = wait.get(id); if (f) { wait.delete(id); f(); } else early.add(id); });
  const post = async () => peer.id(await call('POST', ...peer.post()));
  const timed = async (l, what) => { const t = hr(); await what(); l.push(hr() - t); };

  await step('idle', async () => { const a = usage(peer.pids); await sleep(5000); const u = usage(peer.pids); return { server_pss_mb: u.pss_mb, idle_cpu_pct: +((u.ticks - a.ticks) / 5).toFixed(2) }; });
  let one;
  await step('latency', async () => {
    const total = [], alone = [];
    for (let i = 0; i < cfg.LAT + 20; i++) {
      const t = hr(); one = await post(); const a = hr() - t;
      if (!early.delete(one)) await new Promise(r => wait.set(one, r));
      if (i >= 20) { total.push(hr() - t); alone.push(a); }
    }
    return { n: cfg.LAT, submit_ms: pct(alone), result_ms: pct(total) };
  });
  await step('throughput', async () => {
    const cold = [], c0 = done, w = hr(); await pool(WARM_UP, cfg.INFLIGHT, () => timed(cold, post)); while (done - c0 < WARM_UP && hr() - w < 60000) await sleep(5);
    const disk = fsyncUs(dir), u0 = usage(peer.pids).ticks, d0 = done, t = hr(), l = [];
    await pool(cfg.N, cfg.INFLIGHT, () => timed(l, post)); const posted = hr() - t;
    while (done - d0 < cfg.N && hr() - t < 300000) await sleep(5);
    const s = (hr() - t) / 1000, u = usage(peer.pids);
    return { n: cfg.N, fsync_p50_us: disk, tasks_s: Math.round(cfg.N / s), submit_s: Math.round(cfg.N / posted * 1000), cpu_us_per_task: Math.round((u.ticks - u0) * 1e4 / cfg.N), api_ms: pct(l), cold_ms: pct(cold), after_all_pss_mb: u.pss_mb };
  });
  await step('api_open_200', async () => {
    const l = [], all = [], t = hr();
    for (let i = 0; i < OPEN_REQUESTS; i++) { const due = t + i * 1000 / OPEN_RATE, rest = due - hr(); if (rest > 0) await sleep(rest); all.push(post().then(() => l.push(hr() - due))); }
    await Promise.all(all); return { n: OPEN_REQUESTS, rate_s: OPEN_RATE, api_ms: pct(l) };
  });
  for (const [metric, path] of [['api_get', peer.task(one)], ['api_health', peer.health]]) {
    await step(metric, async () => { const l = [], t = hr(); await pool(cfg.N, cfg.INFLIGHT, () => timed(l, () => call('GET', path))); return { n: cfg.N, req_s: Math.round(cfg.N / (hr() - t) * 1000), api_ms: pct(l) }; });
  }
  await step('websocket_1000', async () => {
    await peer.settle?.(); const before = usage([peer.app]).pss_mb, l = [], all = [];
    await pool(SOCKETS, cfg.INFLIGHT, i => timed(l, async () => { all.push(await peer.connect(i)); }).catch(e => console.error(String(e))));
    await peer.settle?.(); await sleep(1000); const after = usage([peer.app]).pss_mb; all.forEach(s => s.close());
    return { n: SOCKETS, ok_pct: +(l.length * 100 / SOCKETS).toFixed(1), connect_ms: pct(l), server_kb_per_conn: +((after - before) * 1024 / SOCKETS).toFixed(1) };
  });
  // The same posts by a client in C, which costs a twentieth of node's: what is left is the API. Last, for it leaves much to do behind it.
  await step('post_wrk', async () => {
    const [path, body] = peer.post(), script = dir + '/post.lua', headers = { 'content-type': 'application/json', ...peer.headers };
    fs.writeFileSync(script, `wrk.method = "POST"; wrk.body = [==[${JSON.stringify(body)}]==]\n${Object.entries(headers).map(([k, v]) => `wrk.headers["${k}"] = "${v}"\n`).join('')}
      function done(summary, latency) local e = summary.errors; local ms = function(p) return latency:percentile(p) / 1000 end
        print(string.format("JSON[%d,%d,%f,%f,%f]", summary.requests, e.status + e.timeout + e.read + e.write + e.connect, ms(50), ms(95), ms(99))) end`);
    const said = await new Promise((good, bad) => execFile('wrk', ['-t1', `-c${cfg.INFLIGHT}`, `-d${WRK_SECONDS}s`, '-s', script, `http://127.0.0.1:${peer.port}${path}`], (e, out) => e ? bad(e) : good(out)));
    const [n, errors, p50, p95, p99] = JSON.parse(said.slice(said.indexOf('JSON') + 4)); return { n, errors, req_s: Math.round(n / WRK_SECONDS), api_ms: { p50, p95, p99 } };
  });
}
