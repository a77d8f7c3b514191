// Artel over its WebSocket: every answer waits for the sync of the entries that it rests on. The client posts under the operator's token and
// hears of results as events; the workers of one process are the slots of one agent on one socket, which claim once and then ask for the next
// task with each result (one round trip a task); a racer is an agent of its own that claims named tasks that were posted before. A queue is a
// skill: only its workers have it. `fsync-first` pays a credit a task (escrow, payment), `fsync-first-unpaid` none, as the peers do;
// `fsync-first-http` is the same over plain HTTP, an agent a worker, one request after the other on each connection.
import net from 'node:net'; import fs from 'node:fs'; import path from 'node:path';
import { generateKeyPairSync, sign } from 'node:crypto'; import { execFileSync } from 'node:child_process';
const { suite, start, freePort, sleep, hr, cfg } = await import(process.env.PEERS_LIB || './lib.mjs');
const E = process.env, TARGET = E.CARGO_TARGET_DIR || path.resolve(import.meta.dirname, '../../target');
const BIN = E.PEER_ARTEL || path.join(TARGET, 'release/artel');
const WAIT_MS = 25000, RUN_STEPS_MAX = 200, FLAGS = ['requests_per_second=1000000', 'enrollments_per_minute=100000', 'leases_max=1000', 'log=warn'];

// One kept connection, one request at a time. Of an answer's head only the status and the length are looked at.
class Line {
  constructor(port, token) { this.port = port; this.head = ` HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\n${token ? `authorization: Bearer ${token}\r\n` : ''}`; }
  open() {
    const s = this.socket = net.connect({ port: this.port, host: '127.0.0.1', noDelay: true }); this.left = null;
    s.on('data', d => { if (this.left) d = Buffer.concat([this.left, d]); this.left = this.take(d) ? null : d; });
    s.on('error', () => {}); s.on('close', () => { if (this.socket === s) { this.socket = null; this.bad?.(new Error('connection closed')); this.good = this.bad = null; } });
  }
  take(d) {
    const end = d.indexOf('\r\n\r\n'); if (end < 0) return false;
    const head = d.latin1Slice(0, end), at = head.indexOf('content-length: '), len = at < 0 ? 0 : parseInt(head.slice(at + 16)), status = +head.slice(9, 12);
    if (d.length < end + 4 + len) return false;
    const good = this.good; this.good = this.bad = null; good({ status, body: len ? JSON.parse(d.utf8Slice(end + 4, end + 4 + len)) : null }); return true;
  }
  ask(method, url, body, extra = '') {
    return new Promise((good, bad) => {
      if (!this.socket) this.open(); this.good = good; this.bad = bad;
      const len = body === undefined ? '' : `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n`;
      this.socket.write(`${method} ${url}${this.head}${extra}${len}\r\n${body ?? ''}`);
    });
  }
  close() { this.bad = null; this.socket?.destroy(); }
}
// Lines in turn: whoever asks takes a free one, or waits for one.
class Lines {
  constructor(n, port, token) { this.free = Array.from({ length: n }, () => new Line(port, token)); this.all = [...this.free]; this.waiting = []; }
  async ask(...a) {
    const line = this.free.pop() ?? await new Promise(r => this.waiting.push(r));
    try { return await line.ask(...a); } finally { const next = this.waiting.shift(); if (next) next(line); else this.free.push(line); }
  }
  close() { this.all.forEach(l => l.close()); }
}

// One socket, many calls: RFC 6455 by hand, for node 20 has no WebSocket of its own. What is asked in one turn of the event loop goes out in one
// write. Masks are zero: nobody between is to be deceived.
class Wire {
  constructor(port, token) { this.port = port; this.token = token; this.calls = new Map(); this.id = 0; this.out = []; this.left = null; this.up = false; }
  open() {
    return new Promise((good, bad) => {
      const s = this.socket = net.connect({ port: this.port, host: '127.0.0.1', noDelay: true });
      s.write(`GET /v1/agent/connect HTTP/1.1\r\nhost: 127.0.0.1:${this.port}\r\nauthorization: Bearer ${this.token}\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`);
      s.on('data', d => {
        if (this.left) d = Buffer.concat([this.left, d]);
        if (!this.up) {
          const end = d.indexOf('\r\n\r\n'); if (end < 0) { this.left = d; return; }
          if (+d.latin1Slice(9, 12) !== 101) { bad(new Error(d.latin1Slice(0, 400))); s.destroy(); return; }
          this.up = true; d = d.subarray(end + 4); good(this);
        }
        this.left = this.take(d);
      });
      s.on('error', bad); s.on('close', () => { for (const c of this.calls.values()) c.bad(new Error('socket closed')); this.calls.clear(); });
    });
  }
  take(d) { // what is left of it
    let at = 0;
    while (d.length - at >= 2) {
      let len = d[at + 1], head = 2; if (len === 126) { if (d.length - at < 4) break; len = d.readUInt16BE(at + 2); head = 4; } else if (len === 127) { if (d.length - at < 10) break; len = Number(d.readBigUInt64BE(at + 2)); head = 10; }
      if (d.length - at < head + len) break;
      const op = d[at] & 15, from = at + head; at = from + len;
      if (op === 1) this.heard(JSON.parse(d.utf8Slice(from, at))); else if (op === 9) this.put(0x8a, d.subarray(from, at)); else if (op === 8) this.socket.end();
    }
    return at === d.length ? null : d.subarray(at);
  }
  heard(m) {
    if (m.type === 'answer') { const c = this.calls.get(m.id); this.calls.delete(m.id); c.good({ status: m.status, body: m.data ?? null }); }
    else if (m.type === 'event') this.onEvent?.(m.data);
    else if (m.type === 'error') console.error(JSON.stringify(m));
  }
  put(op, body) {
    const n = body.length, head = n < 126 ? Buffer.from([op, 128 | n, 0, 0, 0, 0]) : n < 65536 ? Buffer.from([op, 254, n >> 8, n & 255, 0, 0, 0, 0]) : Buffer.from([op, 255, 0, 0, 0, 0, n >>> 24, n >>> 16 & 255, n >>> 8 & 255, n & 255, 0, 0, 0, 0]);
    if (!this.out.length) setImmediate(() => { const b = Buffer.concat(this.out); this.out = []; if (!this.socket.destroyed) this.socket.write(b); });
    this.out.push(head, body);
  }
  ask(type, data, more = '') {
    return new Promise((good, bad) => { if (this.socket.destroyed) return bad(new Error('socket closed')); const id = this.id++; this.calls.set(id, { good, bad }); this.put(0x81, Buffer.from(`{"type":"${type}","id":${id}${more},"data":${data}}`)); });
  }
  close() { this.socket?.destroy(); }
}
const want = (status, r) => { if (r.status !== status) throw new Error(`status ${r.status}, not ${status}: ${JSON.stringify(r.body)}`); return r.body; };

const B58 = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';
const base58 = bytes => { let n = BigInt('0x' + bytes.toString('hex')), s = ''; for (; n > 0n; n /= 58n) s = B58[Number(n % 58n)] + s; return s; }; // the key's prefix is not zero
async function enroll(port, name, skill) {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519'), line = new Line(port);
  const did = 'did:key:z' + base58(Buffer.concat([Buffer.from([0xed, 0x01]), Buffer.from(publicKey.export({ format: 'jwk' }).x, 'base64url')]));
  const asked = want(201, await line.ask('POST', '/v1/enroll', JSON.stringify({ agent_name: name, public_key: did, metadata: { capabilities: [skill], capacity: 1000 } })));
  const signature = sign(null, Buffer.from(asked.challenge), privateKey).toString('base64url');
  const { token } = want(200, await line.ask('POST', `/v1/enroll/${asked.enrollment_id}/respond`, JSON.stringify({ signature }))); line.close(); return token;
}
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
  async server(v, dir) {
    const port = await freePort(), data = path.join(dir, 'node'), log = path.join(E.RUN_DIR || dir, path.basename(BIN) + '.log'), read = fs.existsSync(log) ? fs.statSync(log).size : 0;
    const s = start(BIN, ['up', '--data', data, '--http', `127.0.0.1:${port}`, '--json', ...FLAGS.flatMap(f => ['--set', f])], { dir });
    const ready = () => fs.existsSync(log) && fs.readFileSync(log).subarray(read).toString().split('\n').find(l => l.includes('"event":"ready"'));
    for (let t = hr(); !ready(); await sleep(5)) if (hr() - t > 15000) throw new Error('the node is not ready: ' + fs.readFileSync(log).subarray(read));
    const token = fs.readFileSync(path.join(data, 'operator.token'), 'utf8').trim(), version = JSON.parse(execFileSync(BIN, ['version', '--json'])).version;
    return { conn: { port, token, reward: v.reward, http: v.http }, pids: [s.pid], version: `artel ${version}`, stop: s.stop };
  },
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
