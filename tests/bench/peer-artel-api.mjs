// Artel's HTTP API under the loops of api.mjs: every POST is durable before it is answered. Eight workers, slots of one agent on one socket, have a
// process of their own, as the seed stack's have; results are events on another socket, and the thousand sockets are agents of their own.
import fs from 'node:fs'; import { fork } from 'node:child_process'; import { tmp, payload, pool, hr, sleep } from './lib.mjs'; import { api } from './api.mjs';
import { Wire, enroll, node, want } from './artel.mjs';
// What was freed goes back to the system some seconds later, as the seed stack's garbage does when it is asked to.
const SETTLE_MS = 5000, WAIT_MS = 25000, WORKERS = 8, AGENTS = 1000, [, , role, port] = process.argv;
if (role === '--workers') {
  const socket = await new Wire(+port, await enroll(+port, 'worker', 'work')).open(), wait = `{"wait_ms":${WAIT_MS}}`;
  const work = async () => { for (let lease = null; ;) {
    const r = lease ? want(200, await socket.ask('submit', `{"epoch":${lease.epoch},"output":{"at":${hr()}},"acknowledge":"logged","claim_next":${wait}}`, `,"task_id":"${lease.task_id}"`)).next : await socket.ask('claim_next', wait);
    lease = lease ? r ?? null : r.status === 204 ? null : want(200, r);
  } };
  for (let i = 0; i < WORKERS; i++) work().catch(e => { console.error(e); process.exit(1); });
  process.send('up'); process.on('disconnect', () => process.exit(0));
} else {
  const dir = tmp('artel-api'), n = await node(dir), agents = [];
  await pool(AGENTS, 16, async i => { agents[i] = await enroll(n.port, 'agent ' + i, 'listen'); });
  const workers = fork(new URL(import.meta.url).pathname, ['--workers', String(n.port)], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  await new Promise((good, bad) => { workers.once('message', good); workers.once('exit', bad); });
  const news = await new Wire(n.port, n.token).open();
  await api({
    peer: 'artel', variant: 'fsync-first-api', durable: 'fsync before each answer (grouped)', version: n.version,
    port: n.port, headers: { authorization: `Bearer ${n.token}` }, pids: [n.pid, workers.pid], app: n.pid,
    post: () => ['/v1/tasks', { title: 'bench', requirements: { capabilities: ['work'] }, reward: 1, input: { p: payload } }], id: answer => answer.task_id, task: id => '/v1/tasks/' + id, health: '/v1/health',
    done: async f => { news.onEvent = e => f(e.data.task_id); want(200, await news.ask('subscribe', '{"after":"now","event_name":"xyn.task.accepted","limit":200}')); },
    connect: i => new Wire(n.port, agents[i]).open(), settle: () => sleep(SETTLE_MS),
  }, dir);
  workers.kill('SIGKILL'); news.close(); await n.stop(); fs.rmSync(dir, { recursive: true, force: true }); process.exit(0);
}
