// What the dashboard costs: `node tests/bench/pages.mjs [TASKS]`. How long a page's first byte takes with that many open tasks (100,000), signed in
// as the operator, one request at a time; and what an idle node costs with the dashboard open, by the pages' own stream, eight workers waiting.
import fs from 'node:fs'; import http from 'node:http'; import { tmp, usage, sleep, hr, emit, pct } from './lib.mjs'; import { Line, Wire, enroll, node, want } from './artel.mjs';
const TASKS = +process.argv[2] || 100000, STEPS = 200, REQUESTS = 41, IDLE_S = 20, WORKERS = 8, PAGES = 3, WAIT_MS = 25000;
const base = { peer: 'artel', variant: 'pages' }, form = { 'content-type': 'application/x-www-form-urlencoded' };
const dir = tmp('artel-pages'), n = await node(dir), agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

const ask = (method, path, headers, body = '') => new Promise((good, bad) => {
  const t = hr(), r = http.request({ host: '127.0.0.1', port: n.port, path, method, agent, headers: { ...headers, 'content-length': Buffer.byteLength(body) } }, s => {
    let first = 0, text = ''; s.on('data', more => { first ||= hr() - t; text += more; }); s.on('end', () => good({ status: s.statusCode, headers: s.headers, first, text }));
  });
  r.on('error', bad); r.end(body);
});
const cookies = answer => (answer.headers['set-cookie'] ?? []).map(cookie => cookie.split(';')[0]);
const door = await ask('GET', '/ui/sign-in', {}), field = /name="form_token" value="([^"]+)"/.exec(door.text)?.[1] ?? '';
const fields = new URLSearchParams({ form_token: field, token: n.token }).toString();
const inside = await ask('POST', '/ui/sign-in', { ...form, cookie: cookies(door).join('; '), origin: `http://127.0.0.1:${n.port}` }, fields);
if (inside.status !== 303) throw new Error(`not signed in: ${inside.status}`);
const cookie = [...cookies(inside), ...cookies(door)].join('; ');

// Idle first: the book is empty, as it is with whoever has just begun.
const worker = await new Wire(n.port, await enroll(n.port, 'worker', 'work')).open();
for (let i = 0; i < WORKERS; i++) worker.ask('claim_next', `{"wait_ms":${WAIT_MS}}`).catch(() => {});
const streams = await Promise.all(Array.from({ length: PAGES }, async () => {
  const page = await ask('GET', '/ui', { cookie }), live = /data-live="([^"]+)"/.exec(page.text)[1].replaceAll('&#38;', '&').replaceAll('&amp;', '&');
  return new Promise((good, bad) => { const r = http.get({ host: '127.0.0.1', port: n.port, path: live, agent: false, headers: { cookie, accept: 'text/event-stream' } }, s => { if (s.statusCode !== 200) bad(new Error(`the stream: ${s.statusCode}`)); s.resume(); good(r); }); r.on('error', bad); });
}));
await sleep(2000); const before = usage([n.pid]); await sleep(IDLE_S * 1000); const after = usage([n.pid]);
emit({ ...base, metric: 'idle_with_pages', pages: PAGES, workers: WORKERS, server_pss_mb: after.pss_mb, idle_cpu_pct: +((after.ticks - before.ticks) / IDLE_S).toFixed(2) });
streams.forEach(stream => stream.on('error', () => {}).destroy()); worker.close();

const line = new Line(n.port, n.token), task = i => ({ name: 's' + i, task: { title: 'task ' + i, requirements: { capabilities: ['nobody'] }, reward: 1, input: { p: 'x'.repeat(300) } } });
let run; for (let at = 0; at < TASKS; at += STEPS) run = want(201, await line.ask('POST', '/v1/runs', JSON.stringify({ name: 'bench', steps: Array.from({ length: STEPS }, (_, i) => task(at + i)) }))).run_id;
for (const path of ['/', '/ui', '/ui/tasks', '/ui/runs', `/ui/runs/${run}`, '/ui/agents', '/ui/mesh', '/ui/ledger', '/ui/audit', '/ui/events', '/ui/artifacts', '/ui/doctor']) {
  const l = []; let page; for (let i = 0; i < REQUESTS; i++) { page = await ask('GET', path, { cookie }); l.push(page.first); }
  if (page.status !== 200) throw new Error(`${path}: ${page.status}`);
  emit({ ...base, metric: 'first_byte', path: path.replace(run, 'RUN'), tasks: TASKS, kb: Math.round(page.text.length / 1024), ms: pct(l) });
}
agent.destroy(); line.close(); await n.stop(); fs.rmSync(dir, { recursive: true, force: true }); process.exit(0);
