// The seed design's stack: Express + PostgreSQL + BullMQ on Redis + Socket.io, one task = row, job, worker, row update, push. Its HTTP API under
// the loops of api.mjs.
import { start, freePort, waitPort, payload, pkgVersion, tmp, sleep } from './lib.mjs'; import { api } from './api.mjs';
import { execFileSync, fork } from 'node:child_process'; import fs from 'node:fs'; import http from 'node:http'; import { createRequire } from 'node:module';
const req = createRequire(process.env.PEERS_HOME + '/node/'), pg = req('pg'), { Queue, Worker } = req('bullmq'), { Redis } = req('ioredis'), BIN = process.env.PG_BIN;
const [, , role, conf] = process.argv, C = conf ? JSON.parse(conf) : {}, redisAt = () => ({ host: '127.0.0.1', port: C.redis, maxRetriesPerRequest: null }), db = n => new pg.Pool({ host: '127.0.0.1', port: C.pg, user: 'bench', database: 'postgres', max: n });
if (role === '--app') {
  const express = req('express'), { Server } = req('socket.io'), app = express(), p = db(20), q = new Queue('tasks', { connection: redisAt() });
  app.use(express.json()); app.get('/health', (_, r) => { r.json({ ok: true }); });
  app.post('/api/v1/tasks', async (r, s) => { try { const t = await p.query('INSERT INTO task(payload) VALUES($1) RETURNING id', [r.body.payload]), id = t.rows[0].id; await q.add('t', { id }); s.status(201).json({ id }); } catch (e) { s.status(500).json({ e: e.message }); } });
  app.get('/api/v1/tasks/:id', async (r, s) => { const t = await p.query('SELECT id, state, payload FROM task WHERE id=$1', [r.params.id]); s.json(t.rows[0] || {}); });
  const srv = http.createServer(app), io = new Server(srv), sub = new Redis(redisAt()); sub.subscribe('done'); sub.on('message', (_, id) => io.emit('done', id));
  srv.listen(C.http, '127.0.0.1', () => process.send('up')); process.on('disconnect', () => process.exit(0)); process.on('message', () => global.gc());
} else if (role === '--workers') {
  const p = db(8), r = new Redis(redisAt());
  await Promise.all(Array.from({ length: 8 }, () => new Worker('tasks', async j => { await p.query('UPDATE task SET state=2 WHERE id=$1', [j.data.id]); await r.publish('done', String(j.data.id)); }, { connection: redisAt() }).waitUntilReady()));
  process.send('up'); process.on('disconnect', () => process.exit(0));
} else {
  const dir = tmp('seed'), [redis, pgp, web] = await Promise.all([1, 2, 3].map(freePort)), c = { redis, pg: pgp, http: web };
  const un = process.getuid() === 0 ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] : [], ini = [...un, BIN + '/initdb', '-D', dir + '/pg', '-U', 'bench', '-A', 'trust', '-E', 'UTF8', '--locale=C'];
  execFileSync(ini[0], ini.slice(1), { stdio: 'ignore', cwd: dir });
  const s1 = start(BIN + '/postgres', ['-D', dir + '/pg', '-p', String(pgp), '-c', 'listen_addresses=127.0.0.1', '-c', 'unix_socket_directories='], { dir, sig: 'SIGINT' });
  const s2 = start('redis-server', ['--port', String(redis), '--bind', '127.0.0.1', '--dir', dir, '--save', '', '--appendonly', 'yes', '--appendfsync', 'everysec'], { dir });
  await waitPort(pgp); await waitPort(redis); let k; for (let i = 0; !k; i++) { k = new pg.Client({ host: '127.0.0.1', port: pgp, user: 'bench', database: 'postgres' }); await k.connect().catch(async e => { k = null; if (i > 50) throw e; await sleep(100); }); }
  await k.query('CREATE TABLE task(id bigserial PRIMARY KEY, payload text, state int DEFAULT 0)'); await k.end();
  const up = r => new Promise((good, bad) => { const f = fork(new URL(import.meta.url).pathname, [r, JSON.stringify(c)], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'], execArgv: ['--expose-gc'] }); f.once('message', () => good(f)); f.once('exit', () => bad(new Error(r + ' ended'))); });
  const app = await up('--app'), workers = await up('--workers'), { io } = req('socket.io-client');
  const socket = more => { const s = io(`http://127.0.0.1:${web}`, { transports: ['websocket'], ...more }); return new Promise((good, bad) => { s.on('connect', () => good(s)); s.on('connect_error', bad); }); };
  let events;
  await api({
    peer: 'seed-stack', variant: 'express+pg+bullmq+socket.io', durable: 'row: fsync; job: up to 1 s lost', version: `express ${pkgVersion('express')} / bullmq ${pkgVersion('bullmq')} / socket.io ${pkgVersion('socket.io')}`,
    port: web, headers: {}, pids: [s1.pid, s2.pid, app.pid, workers.pid], app: app.pid,
    post: () => ['/api/v1/tasks', { payload }], id: answer => answer.id, task: id => '/api/v1/tasks/' + id, health: '/health',
    done: async f => { events = await socket(); events.on('done', f); },
    connect: () => socket({ forceNew: true, reconnection: false, timeout: 10000 }), settle: async () => { app.send('gc'); await sleep(500); },
  }, dir);
  events.close(); app.kill('SIGKILL'); workers.kill('SIGKILL'); await s1.stop(); await s2.stop(); fs.rmSync(dir, { recursive: true, force: true }); process.exit(0);
}
