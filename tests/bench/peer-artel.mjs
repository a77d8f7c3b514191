// Artel over its WebSocket: every answer waits for the sync of the entries that it rests on. The client posts under the operator's token and
// hears of results as events; the workers of one process are the slots of one agent on one socket, which claim once and then ask for the next
// task with each result (one round trip a task); a racer is an agent of its own that claims named tasks that were posted before. A queue is a
// skill: only its workers have it. `fsync-first` pays a credit a task (escrow, payment), `fsync-first-unpaid` none, as the peers do;
// `fsync-first-http` is the same over plain HTTP, an agent a worker, one request after the other on each connection.
const { suite, hr, cfg } = await import(process.env.PEERS_LIB || './lib.mjs');
import { Line, Lines, Wire, enroll, node, want } from './artel.mjs';
const WAIT_MS = 25000, RUN_STEPS_MAX = 200;

const task = (c, title, skill, p) => ({ title, requirements: { capabilities: [skill] }, reward: c.reward, input: { p } });
const run = (c, from, n, title, skill, p) => JSON.stringify({ name: skill, steps: Array.from({ length: n }, (_, i) => ({ name: title(from + i), task: task(c, title(from + i), skill, p) })) });

// The named tasks of the race, by name: posted once, whichever process comes first.
let named; async function race(c) {
  const ids = {}, line = new Line(c.port, c.token), title = i => 'r' + i;
  for (let at = 0; at < cfg.RACE; at += RUN_STEPS_MAX) {
    const posted = want(201, await line.ask('POST', '/v1/runs', run(c, at, Math.min(RUN_STEPS_MAX, cfg.RACE - at), title, 'race', ''), `idempotency-key: race-${at}\r\n`));
    for (let more = ''; more !== null;) { const page = want(200, await line.ask('GET', `/v1/runs/${posted.run_id}/steps?limit=200${more}`)); for (const s of page.items) ids[s.name] = s.step_id; more = page.next_cursor ? `&cursor=${page.next_cursor}` : null; }
  }
  line.close(); return ids;
}

// A worker process's agent on its socket, for all of its workers on a queue.
const hands = new Map(); let open = 0;
const hand = (c, q, i) => { if (!hands.has(q)) hands.set(q, enroll(c.port, 'worker ' + i, q).then(token => new Wire(c.port, token).open())); open++; return hands.get(q); };

suite({
  peer: 'artel',
  variants: [{ name: 'fsync-first', durable: 'fsync before each answer (grouped)', reward: 1 }, { name: 'fsync-first-unpaid', durable: 'fsync before each answer (grouped)', reward: 0 },
    { name: 'fsync-first-http', durable: 'fsync before each answer (grouped)', reward: 1, http: true }],
  async server(v, dir) { const n = await node(dir); return { conn: { port: n.port, token: n.token, reward: v.reward, http: v.http }, pids: [n.pid], version: n.version, stop: n.stop }; },
  async client(c, q) {
    const lines = new Lines(cfg.INFLIGHT, c.port, c.token), news = new Line(c.port, c.token); let cb = () => {}, on = true, wire;
    const events = (after, wait) => news.ask('GET', `/v1/events?event_name=xyn.task.accepted&limit=200&wait_ms=${wait}&after=${after}`);
    // A result is the worker's output, as with the peers. An event that does not carry it costs a request for the task.
    const tell = async e => { const o = e.data.output ?? want(200, await lines.ask('GET', `/v1/tasks/${e.data.task_id}`)).output; cb(o.id, o.at); };
    if (!c.http) {
      wire = await new Wire(c.port, c.token).open(); wire.onEvent = e => { tell(e).catch(x => { if (on) console.error(x); }); };
      want(200, await wire.ask('subscribe', '{"after":"now","event_name":"xyn.task.accepted","limit":200}'));
    }
    let after = c.http && want(200, await events('now', 0)).next_cursor;
    const poll = async () => { while (on) { const page = want(200, await events(after, WAIT_MS)); after = page.next_cursor; for (const e of page.items) tell(e).catch(x => { if (on) console.error(x); }); } };
    if (c.http) poll().catch(x => { if (on) console.error(x); });
    return {
      submit: async (id, p) => { want(201, wire ? await wire.ask('post', JSON.stringify(task(c, id, q, p))) : await lines.ask('POST', '/v1/tasks', JSON.stringify(task(c, id, q, p)))); },
      async bulk(n, p) { await Promise.all(Array.from({ length: Math.ceil(n / RUN_STEPS_MAX) }, async (_, i) => { const at = i * RUN_STEPS_MAX; want(201, await lines.ask('POST', '/v1/runs', run(c, at, Math.min(RUN_STEPS_MAX, n - at), k => 'b' + k, q, p))); })); },
      onResult: f => { cb = f; }, async close() { on = false; wire?.close(); news.close(); lines.close(); },
    };
  },
  async worker(c, q, onClaim, i) {
    const wire = c.http ? null : await hand(c, q, i), line = wire ? null : new Line(c.port, await enroll(c.port, 'worker ' + i, q)), next = `,"claim_next":{"wait_ms":${WAIT_MS}}}`; let on = true;
    const work = async () => { for (let lease = null; on;) {
      if (!lease) { const claim = `{"wait_ms":${WAIT_MS}}`, r = wire ? await wire.ask('claim_next', claim) : await line.ask('POST', '/v1/tasks/claim', claim); lease = r.status === 204 ? null : want(200, r); continue; }
      const at = hr(), id = lease.title; onClaim(id);
      const result = `{"epoch":${lease.epoch},"output":${JSON.stringify({ id, at })}${wire ? ',"acknowledge":"logged"' : ''}${next}`;
      lease = want(200, wire ? await wire.ask('submit', result, `,"task_id":"${lease.task_id}"`) : await line.ask('POST', `/v1/tasks/${lease.task_id}/submit`, result)).next ?? null;
    } };
    return { run: () => { work().catch(x => { if (on) console.error(x); }); }, async close() { on = false; line?.close(); if (wire && --open === 0) { wire.close(); hands.clear(); } } };
  },
  async race(c, i) {
    const token = await enroll(c.port, 'racer ' + i, 'race'), line = c.http ? new Line(c.port, token) : await new Wire(c.port, token).open(), ids = await (named ??= race(c));
    const tryClaim = async id => { const r = c.http ? await line.ask('POST', `/v1/tasks/${ids[id]}/claim`, '{}') : await line.ask('claim', '{}', `,"task_id":"${ids[id]}"`); if (r.status !== 409) want(200, r); return r.status === 200; };
    return { tryClaim, async close() { line.close(); } };
  },
}, import.meta.url);
