// Strangers: what everybody sees, a page of another name, and pages that frame ours or post to it.

import { createServer } from "node:http";

export const seesNoSecret = async ({ stage, window, check }) => {
  const anyone = await window();
  await anyone.go("/");
  const page = await anyone.page.content();
  const agents = (await stage.ask("/v1/agents")).items;
  const tasks = (await stage.ask("/v1/tasks?status=any")).items;
  const secrets = [stage.token, ...agents.flatMap((agent) => [agent.agent_name, agent.agent_id]), ...tasks.map((task) => task.title)];
  const text = await anyone.page.evaluate(() => document.body.innerText);
  // A name of three letters can be in any word.
  const found = secrets.filter((secret) => (secret.length > 5 ? page : ` ${text.replace(/\s+/g, " ")} `).includes(secret.length > 5 ? secret : ` ${secret} `));
  check(`the public page shows none of ${secrets.length} secrets`, secrets.length > 10 && found.length === 0);
  await anyone.go("/ui/tasks?status=any");
  check("any other page asks to sign in first", anyone.page.url().includes("/ui/sign-in?next=%2Fui%2Ftasks"));
  await anyone.type("token", "nonsense");
  await anyone.follow("sign-in");
  check("a wrong token is refused with a word", (await anyone.text("said")).length > 10);
  await anyone.type("token", stage.token);
  await anyone.follow("sign-in");
  check("the right one leads to where one wanted to go", anyone.page.url() === `${stage.url}/ui/tasks?status=any`);
  await anyone.follow("sign-out");
  await anyone.go("/ui");
  check("who signed out is out", anyone.page.url().includes("/ui/sign-in"));
  const wrong = anyone.complaints("403");
  check("nothing was wrong for a stranger", wrong.length === 0);
};

/** A page of another name, with the operator signed in to the real one in the same browser. */
export const getsNothingByAnotherName = async ({ stage, operator, check }) => {
  const port = new URL(stage.url).port;
  await operator.tab();
  const answer = await operator.page.goto(`http://evil.test:${port}/ui`);
  check("the node's pages do not answer to another name", answer.status() === 403 && !(await operator.page.content()).includes("nav-overview"));
  const evil = createServer((_, answer) => answer.writeHead(200, { "content-type": "text/html" }).end(trap(stage.url)));
  await new Promise((listening) => evil.listen(0, "127.0.0.1", listening));
  // The same site as the node, so that cookies go along; only the port differs.
  const trapUrl = `http://127.0.0.1:${evil.address().port}/`;
  await operator.page.goto(trapUrl);
  await operator.page.waitForFunction(() => window.outcome?.length === 4);
  const outcome = await operator.page.evaluate(() => window.outcome);
  check("a foreign page reads nothing, with cookies or without", outcome.slice(0, 3).every((text) => text === "refused"));
  const frame = operator.page.frames().find((frame) => frame !== operator.page.mainFrame());
  const framed = await frame.evaluate(() => document.body?.innerText ?? "").catch(() => "");
  check("a page framed elsewhere is empty", !framed.includes("Overview"));
  const tasks = (await stage.ask("/v1/tasks?status=any&limit=200")).items;
  await Promise.all([operator.page.waitForNavigation(), operator.page.evaluate(() => document.forms[0].submit())]);
  const after = (await stage.ask("/v1/tasks?status=any&limit=200")).items;
  check("a foreign form posts nothing", after.length === tasks.length && !after.some((task) => task.title === "stolen"));
  evil.close();
  operator.complaints("");
  await operator.page.close();
  await operator.tab();
  await operator.go("/ui");
  check("and the operator is still signed in", operator.page.url() === `${stage.url}/ui`);
};

const trap = (url) => `<!doctype html><title>trap</title><iframe src="${url}/ui"></iframe>
<form method="post" action="${url}/ui/tasks"><input name="title" value="stolen"><input name="form_token" value="x"></form>
<script>window.outcome = [];
const tell = (promise) => promise.then(() => outcome.push("read"), () => outcome.push("refused"));
tell(fetch("${url}/ui", { credentials: "include" }).then((answer) => answer.text()));
tell(fetch("${url}/v1/tasks").then((answer) => answer.text()));
tell(fetch("${url}/ui/sign-out", { method: "POST", credentials: "include" }).then((answer) => answer.text()));
const source = new EventSource("${url}/ui/live", { withCredentials: true });
source.onmessage = source.onopen = () => outcome.push("read"); source.onerror = () => { source.close(); outcome.push("refused"); };</script>`;
