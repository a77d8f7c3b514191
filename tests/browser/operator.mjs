// The operator: watches the demo's run finish, looks at its graph, posts a task, verifies a proof, reads what others wrote.

import { HOSTILE, until } from "./stage.mjs";

/** The job is watched from its first step to its last, on one page that is never loaded anew. */
export const watchesARunFinish = async ({ stage, operator, check }) => {
  await operator.signIn(stage.token);
  await operator.says("live-state", /^live$/);
  await operator.mark();
  const { page } = operator;
  await page.waitForSelector('[data-testid="run"]', { timeout: 60_000 });
  check("the run shows up on the overview by itself", await operator.isSame());
  await operator.follow("run");
  await operator.mark();
  const seen = new Set();
  await until("the run is completed", async () => {
    const [state, done] = [await operator.text("run-state"), await operator.text("run-done")];
    seen.add(`${state} ${done}`);
    return state === "completed";
  }, 180_000);
  check(`it was watched until it was completed (${seen.size} different looks)`, seen.size >= 3 && (await operator.isSame()));
  const lights = await page.$$eval(".graph .step", (steps) => steps.map((step) => step.classList.contains("good")));
  check(`all ${lights.length} steps of its graph are done`, lights.length > 1 && lights.every(Boolean));
};

export const opensTheGraph = async ({ operator, check }) => {
  await operator.follow("graph-step");
  const told = await operator.page.$eval("h1", (title) => title.textContent);
  check(`a step of the graph leads to its page (${told})`, /\/steps\//.test(operator.page.url()));
  const output = await operator.page.$$eval("section pre", (texts) => texts.map((text) => text.textContent));
  check("with what went in and what came out", output.length >= 2 && output.every((text) => text.length > 1));
  await operator.follow("crumb-run");
};

/** Posts a task whose every text would do something, sees a worker do it, and cancels another one. */
export const postsATask = async ({ stage, operator, check }) => {
  await operator.go("/ui");
  await operator.follow("post-a-task");
  await operator.type("title", `Say it back ${HOSTILE}`);
  await operator.type("description", HOSTILE);
  await operator.type("skills", "browser");
  await operator.type("reward", "much");
  await operator.follow("submit-task");
  check("a wrong reward is said, and what was typed stays", /reward/.test(await operator.text("said")) && (await operator.page.$eval('[data-testid="title"]', (field) => field.value)).endsWith(HOSTILE));
  operator.complaints("422");
  await operator.type("reward", "2.5");
  await operator.type("task-input", JSON.stringify({ say: HOSTILE }));
  await operator.follow("submit-task");
  check("it stands there as it was typed", (await operator.text("task-title")) === `Say it back ${HOSTILE}`);
  await operator.mark();
  await stage.agent(`echo ${HOSTILE}`, "browser", { works: true });
  await operator.says("task-state", /^accepted$/);
  check("a worker did it while we looked", (await operator.isSame()) && (await operator.text("output")).includes("window.hurt=1"));
  const { task_id: other } = await stage.ask("/v1/tasks", { body: { title: "Never", requirements: { capabilities: ["nobody"] } } });
  await operator.go(`/ui/tasks/${other}`);
  await operator.follow("cancel-task");
  await operator.says("task-state", /^cancelled$/);
  check("a task is cancelled from its page", true);
};

export const verifiesAProof = async ({ stage, operator, check }) => {
  await operator.go("/ui/audit");
  await operator.follow("entry");
  await operator.press("verify");
  await operator.says("proof-verdict", /^Proven/);
  const steps = await operator.page.$$eval('[data-testid="proof-steps"] li', (steps) => steps.map((step) => step.className));
  check(`the browser verified a proof in ${steps.length} steps`, steps.length > 4 && !steps.includes("bad"));
  await theLogGrows(stage, operator, check);
  await liesAreSeen(operator, check);
  await aRewrittenLogIsAlarming(stage, operator, check);
};

const grow = (stage) => stage.ask("/v1/events", { body: { event_name: "xyn.browser.grew", data: {} } });

/** Verifies the page's entry again, and gives what was told. */
const verifyAgain = async (operator, verdict) => {
  await operator.press("verify");
  await operator.says("proof-verdict", verdict);
  return operator.page.$$eval('[data-testid="proof-steps"] li', (steps) => steps.map((step) => `${step.className} ${step.textContent}`));
};

/** The checkpoint that was verified before is held against the next one, hash by hash. */
const theLogGrows = async (stage, operator, check) => {
  await grow(stage);
  // The node signs a new checkpoint within a second or so of an entry; an entry beyond the old one has it sign at once.
  await operator.go("/ui/audit");
  await operator.follow("entry");
  const steps = await verifyAgain(operator, /^Proven/);
  check("it verified that the log continues the one from before", steps.some((step) => step.startsWith("good The log continues")) && steps.some((step) => step.startsWith("good Growth 1")));
};

/** A browser that remembers another log than the node has now. */
const aRewrittenLogIsAlarming = async (stage, operator, check) => {
  await operator.page.evaluate(() => {
    const name = Object.keys(localStorage).find((name) => name.startsWith("artel.log."));
    const known = JSON.parse(localStorage.getItem(name));
    localStorage.setItem(name, JSON.stringify({ ...known, size: "5", root: btoa("x".repeat(32)) }));
  });
  await operator.page.reload({ waitUntil: "load" });
  await verifyAgain(operator, /contradicts/);
  check("a log that does not continue the one from before is an alarm", (await operator.text("proof-alarm")).includes("contradict"));
  await operator.page.reload({ waitUntil: "load" });
  await operator.find("proof-alarm");
  const notes = await operator.page.$eval("#proof-notes", (notes) => notes.textContent);
  check("which stays, with both checkpoints", notes.match(/^artel\//gm)?.length === 2);
  await operator.press("proof-kept");
  check("until it was read", await operator.page.$eval('[data-testid="proof-alarm"]', (alarm) => alarm.hidden));
  await operator.page.evaluate(() => localStorage.clear());
};

/** The same with an answer that was changed on its way. */
const liesAreSeen = async (operator, check) => {
  const lies = {
    "another leaf": (given) => ({ ...given, leaf: `B${given.leaf.slice(1)}` }),
    "another hash on the way up": (given) => ({ ...given, proof: given.proof.replace(/\n[A-Za-z0-9+/]{43}=\n/, `\n${"A".repeat(43)}=\n`) }),
    "a signature of somebody else": (given) => ({ ...given, proof: given.proof.replace(/[A-Za-z0-9+/]{8}(=*\n)$/, "AAAAAAAA$1") }),
    "another body": (given) => ({ ...given, body: btoa(`${atob(given.body)}!`) }),
    "the proof of another entry": (given) => ({ ...given, proof: given.proof.replace(/\nindex \d+\n/, "\nindex 0\n") }),
  };
  const path = await operator.page.$eval('[data-testid="verify"]', (button) => button.dataset.proof);
  const honest = await operator.page.evaluate((path) => fetch(path).then((answer) => answer.json()), path);
  for (const [name, lie] of Object.entries(lies)) {
    await operator.page.evaluate((given) => { window.fetch = async () => new Response(JSON.stringify(given)); }, lie(honest));
    await operator.press("verify");
    await operator.says("proof-verdict", /^Not proven/);
    check(`${name} is seen`, true);
  }
};

/** Makes an invitation, which is shown once and stands in no address, and takes it back. */
export const invitesANode = async ({ operator, check }) => {
  await operator.go("/ui/mesh");
  await operator.follow("to-invitations");
  await operator.type("uses", "none");
  await operator.follow("invite");
  check("a wrong number is said", /whole number/.test(await operator.text("said")));
  await operator.type("uses", "2");
  await operator.follow("invite");
  const text = await operator.text("invitation");
  check("an invitation is shown, and not in the address", text.length > 60 && new URL(operator.page.url()).pathname === "/ui/invitations" && new URL(operator.page.url()).search === "");
  await operator.go("/ui/invitations");
  const states = () => operator.page.$$eval('[data-testid="invitation-state"]', (cells) => cells.map((cell) => cell.textContent.trim()));
  const before = await states();
  check("it is shown once, and stands among those that are open", !(await operator.page.content()).includes(text.slice(-40)) && before.includes("open"));
  await operator.follow("take-back");
  check("one is taken back", (await states()).length === before.length - 1);
};

/** At another node of the demo: what the home paid those who worked for it from there. */
export const seesWhatOtherHomesPaid = async ({ stage, check, window }) => {
  const there = stage.others()[0];
  const elsewhere = await window(there.url);
  await elsewhere.signIn(there.token);
  await elsewhere.go("/ui/ledger");
  await elsewhere.find("home-row");
  const paid = () => elsewhere.page.$$eval('[data-testid="home-row"] [data-label="Paid"]', (cells) => cells.map((cell) => parseFloat(cell.textContent)));
  await until("another node knows what the home paid", async () => (await paid().catch(() => [])).some((amount) => amount > 0));
  check("another node's ledger says what the home paid, and how it keeps its word", true);
  const wrong = elsewhere.complaints();
  check("nothing was wrong there", wrong.length === 0);
};

/** All pages with names, logs and artifacts that would do something. */
export const readsWhatOthersWrote = async ({ stage, operator, check }) => {
  const put = (name, content_type, text) => stage.ask("/v1/artifacts", { body: { name, kind: "log", content_type, content: Buffer.from(text).toString("base64") } });
  const page = await put(`a ${HOSTILE}`.slice(0, 120), "text/html", `<!doctype html><title>x</title>${HOSTILE}`);
  const svg = await put("picture.svg", "image/svg+xml", `<svg xmlns="http://www.w3.org/2000/svg" onload="window.hurt=3"><script>window.hurt=4</script></svg>`);
  const json = await put("data.json", "application/json", JSON.stringify({ [HOSTILE]: HOSTILE }));
  const pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
  const png = await stage.ask("/v1/artifacts", { body: { name: "pixel.png", content_type: "image/png", content: pixel } });
  await stage.ask("/v1/events", { body: { event_name: "xyn.browser.said", data: { text: HOSTILE } } });
  const paths = ["/ui", "/ui/runs", "/ui/tasks", "/ui/agents", "/ui/artifacts", "/ui/events", "/ui/audit", "/ui/ledger", "/ui/mesh", "/ui/settings", "/"];
  paths.push(...[page, svg, json, png].map(({ artifact_id }) => `/ui/artifacts/${artifact_id}`));
  for (const path of paths) {
    await operator.go(path);
    check(`what others wrote is text on ${path.replace(/[0-9a-f-]{36}/, "…")}`, !(await operator.isHurt()));
  }
  const drawn = await operator.page.goto(`${stage.url}/ui/artifacts/${png.artifact_id}`).then(() => operator.page.$eval('img[data-testid="preview"]', (image) => image.naturalWidth));
  check("a picture is drawn", drawn === 1);
  await operator.go(`/ui/artifacts/${svg.artifact_id}`);
  check("a picture that could hold a script is shown as text", (await operator.text("preview")).startsWith("<svg"));
};

export const choosesColours = async ({ operator, check }) => {
  await operator.go("/ui");
  const paper = () => operator.page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const before = await paper();
  await operator.press("theme");
  await operator.press("theme");
  const dark = await paper();
  await operator.go("/ui/tasks");
  check("dark is chosen and remembered", dark !== before && (await paper()) === dark);
  await operator.press("theme");
};

/** A page in the background listens to nothing, and catches up when it is looked at again. */
export const looksAwayAndBack = async ({ stage, operator, check }) => {
  await operator.go("/ui/tasks?status=available&capability=away");
  await operator.says("live-state", /^live$/);
  await operator.mark();
  const look = (hidden) => operator.page.evaluate((hidden) => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
    document.dispatchEvent(new Event("visibilitychange"));
  }, hidden);
  await look(true);
  await stage.ask("/v1/tasks", { body: { title: "While away", requirements: { capabilities: ["away"] } } });
  await look(false);
  await operator.says("task", /^While away$/);
  check("what happened meanwhile is there, on the same page", await operator.isSame());
};
