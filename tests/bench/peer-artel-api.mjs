// Artel's HTTP API under the loops of api.mjs: every POST is durable before it is answered. Eight workers are slots of one agent on one socket;
// results are events on another, and the thousand sockets are agents of their own that are signed in.
import fs from 'node:fs'; import { tmp, payload, pool, hr } from './lib.mjs'; import { api } from './api.mjs';
import { Wire, enroll, node, want } from './artel.mjs';
const WAIT_MS = 25000, WORKERS = 8, AGENTS = 1000;
const dir = tmp('artel-api'), n = await node(dir);
const agents = []; await pool(AGENTS, 16, async i => { agents[i] = await enroll(n.port, 'agent ' + i, 'listen'); });
const worker = await new Wire(n.port, await enroll(n.port, 'worker', 'work')).open(); let on = true;
const next = `"claim_next":{"wait_ms":${WAIT_MS}}`;
const work = async () => { for (let lease = null; on;) {
  const r = lease ? await worker.ask('submit', `{"epoch":${lease.epoch},"output":{"at":${hr()}},"acknowledge":"logged",${next}}`, `,"task_id":"${lease.task_id}"`) : await worker.ask('claim_next', `{"wait_ms":${WAIT_MS}}`);
  lease = r.status === 204 ? null : lease ? want(200, r).next ?? null : want(200, r);
} };
for (let i = 0; i < WORKERS; i++) work().catch(e => { if (on) console.error(e); });
const news = await new Wire(n.port, n.token).open();
await api({
  peer: 'artel', variant: 'fsync-first-api', durable: 'fsync before each answer (grouped)', version: n.version,
  port: n.port, headers: { authorization: `Bearer ${n.token}` }, pids: [n.pid], app: n.pid,
  post: () => ['/v1/tasks', { title: 'bench', requirements: { capabilities: ['work'] }, reward: 1, input: { p: payload } }], id: answer => answer.task_id, task: id => '/v1/tasks/' + id, health: '/v1/health',
  done: async f => { news.onEvent = e => f(e.data.task_id); want(200, await news.ask('subscribe', '{"after":"now","event_name":"xyn.task.accepted","limit":200}')); },
  connect: i => new Wire(n.port, agents[i]).open(),
}, dir);
on = false; worker.close(); news.close(); await n.stop(); fs.rmSync(dir, { recursive: true, force: true }); process.exit(0);
