// How to reach an Artel node, for the adapters: a server process, kept HTTP connections, WebSockets, enrolled agents. By hand, for node 20 has no
// WebSocket of its own and its HTTP client costs more than the node's answer.
import net from 'node:net'; import fs from 'node:fs'; import os from 'node:os'; import path from 'node:path';
import { generateKeyPairSync, sign } from 'node:crypto'; import { execFileSync } from 'node:child_process';
const { start, freePort, sleep, hr } = await import(process.env.PEERS_LIB || './lib.mjs');
const E = process.env, TARGET = E.CARGO_TARGET_DIR || path.resolve(import.meta.dirname, '../../target');
const BIN = E.PEER_ARTEL || path.join(TARGET, 'dist/artel');
const FLAGS = ['requests_per_second=1000000', 'enrollments_per_minute=100000', 'leases_max=1000', 'log=warn'];

// One kept connection, one request at a time. Of an answer's head only the status and the length are looked at.
export class Line {
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
export class Lines {
  constructor(n, port, token) { this.free = Array.from({ length: n }, () => new Line(port, token)); this.all = [...this.free]; this.waiting = []; }
  async ask(...a) {
    const line = this.free.pop() ?? await new Promise(r => this.waiting.push(r));
    try { return await line.ask(...a); } finally { const next = this.waiting.shift(); if (next) next(line); else this.free.push(line); }
  }
  close() { this.all.forEach(l => l.close()); }
}

// One socket, many calls: RFC 6455 by hand, for node 20 has no WebSocket of its own. What is asked in one turn of the event loop goes out in one
// write. Masks are zero: nobody between is to be deceived.
export class Wire {
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
export const want = (status, r) => { if (r.status !== status) throw new Error(`status ${r.status}, not ${status}: ${JSON.stringify(r.body)}`); return r.body; };

const B58 = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';
const base58 = bytes => { let n = BigInt('0x' + bytes.toString('hex')), s = ''; for (; n > 0n; n /= 58n) s = B58[Number(n % 58n)] + s; return s; }; // the key's prefix is not zero
export async function enroll(port, name, skill) {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519'), line = new Line(port);
  const did = 'did:key:z' + base58(Buffer.concat([Buffer.from([0xed, 0x01]), Buffer.from(publicKey.export({ format: 'jwk' }).x, 'base64url')]));
  const asked = want(201, await line.ask('POST', '/v1/enroll', JSON.stringify({ agent_name: name, public_key: did, metadata: { capabilities: [skill], capacity: 1000 } })));
  const signature = sign(null, Buffer.from(asked.challenge), privateKey).toString('base64url');
  const { token } = want(200, await line.ask('POST', `/v1/enroll/${asked.enrollment_id}/respond`, JSON.stringify({ signature }))); line.close(); return token;
}

// A node of its own, ready to answer; `more` are settings beside the usual ones.
export async function node(dir, more = []) {
  const port = await freePort(), data = path.join(dir, 'node'), log = path.join(E.RUN_DIR || os.tmpdir(), path.basename(BIN) + '.log'), read = fs.existsSync(log) ? fs.statSync(log).size : 0;
  const s = start(BIN, ['up', '--data', data, '--http', `127.0.0.1:${port}`, '--json', ...[...FLAGS, ...more].flatMap(f => ['--set', f])], { dir });
  const ready = () => fs.existsSync(log) && fs.readFileSync(log).subarray(read).toString().split('\n').find(l => l.includes('"event":"ready"'));
  for (let t = hr(); !ready(); await sleep(5)) if (hr() - t > 15000) throw new Error('the node is not ready: ' + fs.readFileSync(log).subarray(read));
  const token = fs.readFileSync(path.join(data, 'operator.token'), 'utf8').trim(), version = JSON.parse(execFileSync(BIN, ['version', '--json'])).version;
  return { port, token, pid: s.pid, version: `artel ${version}`, stop: s.stop };
}
