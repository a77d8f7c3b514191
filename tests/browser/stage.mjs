// What the browser looks at: a real demo whose nodes stay up, and agents of its home. Everything is in a directory that goes.

import { spawn, execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, openSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Text that would do something if it were not text. */
export const HOSTILE = `"'><script>window.hurt=1</script><img src=x onerror="window.hurt=2">`;

/** Waits until `look` gives something; fails with `what` when that takes too long. */
export const until = async (what, look, ms = 60_000) => {
  const end = Date.now() + ms;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`${what}: not within ${ms / 1000} s`);
    await new Promise((again) => setTimeout(again, 50));
  }
};

export class Stage {
  constructor(binary, repository) {
    this.binary = binary;
    this.repository = repository;
    this.place = mkdtempSync(join(tmpdir(), "artel-browser-"));
    this.children = [];
  }

  /** Starts the demo, and gives its home as soon as that answers: the job has not begun by then. */
  async begin() {
    this.start(["demo", join(this.repository, "node", "src")], { TMPDIR: this.place });
    const home = await until("the demo's home", () => {
      const found = readdirSync(this.place).map((name) => join(this.place, name, "home"));
      return found.find((dir) => existsSync(join(dir, "http.url")) && existsSync(join(dir, "operator.token")));
    });
    this.home = home;
    this.url = readFileSync(join(home, "http.url"), "utf8").trim();
    this.token = readFileSync(join(home, "operator.token"), "utf8").trim();
  }

  /** The demo's other nodes. */
  others() {
    const run = join(this.home, "..");
    const dirs = readdirSync(run).map((name) => join(run, name)).filter((dir) => dir !== this.home && existsSync(join(dir, "http.url")));
    return dirs.map((dir) => ({ url: readFileSync(join(dir, "http.url"), "utf8").trim(), token: readFileSync(join(dir, "operator.token"), "utf8").trim() }));
  }

  start(words, env = {}) {
    const child = spawn(this.binary, words, { env: { ...process.env, ...env }, stdio: ["ignore", "ignore", openSync(join(this.place, "log"), "a")] });
    this.children.push(child);
    return child;
  }

  /** Enrolls an agent and gives its did and its token. */
  async agent(name, skill, { works = false } = {}) {
    const key = join(this.place, `agent-${this.children.length}-${skill}.pem`);
    const run = (...words) => execFileSync(this.binary, words, { encoding: "utf8" });
    run("key", "new", key);
    run("agent", "enroll", "--node", this.url, "--key", key, "--name", name, "--capability", skill);
    const token = readFileSync(`${key}.token`, "utf8").trim();
    if (works) this.start(["work", "--node", this.url, "--key", key, "--name", name, "--capability", skill, "--exec", "cat"]);
    const me = await this.ask("/v1/agents/me", { token });
    return { did: me.agent_id, token, name };
  }

  /** Asks the API. */
  async ask(path, { token = this.token, body, method = body ? "POST" : "GET" } = {}) {
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    const answer = await fetch(this.url + path, { method, headers, body: body && JSON.stringify(body) });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }

  /** What the demo and the workers said last. */
  log() {
    return readFileSync(join(this.place, "log"), "utf8").slice(-4_000);
  }

  async end() {
    const ends = this.children.map((child) => child.exitCode ?? new Promise((done) => child.once("exit", done)));
    for (const child of this.children) child.kill("SIGINT");
    await Promise.race([Promise.all(ends), new Promise((done) => setTimeout(done, 20_000))]);
    for (const child of this.children) child.kill("SIGKILL");
    rmSync(this.place, { recursive: true, force: true });
  }
}
