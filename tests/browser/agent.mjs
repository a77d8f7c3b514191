// An agent signs in and sees its own, and nothing of others'.

export const seesItsOwn = async ({ stage, window, check }) => {
  const agent = await stage.agent("Otto", "otto");
  const { task_id: secret } = await stage.ask("/v1/tasks", { body: { title: "Not for Otto", requirements: { capabilities: ["nobody"] }, input: { password: "swordfish" } } });
  const otto = await window();
  await otto.signIn(agent.token);
  check("an agent sees itself", (await otto.text("own-did")) === agent.did);
  check("its level and what it earned", (await otto.text("own-level")) === "novice" && (await otto.text("own-earned")) === "0");
  check("its token is in no address and in no cookie that a script can read", !otto.page.url().includes(agent.token) && (await otto.page.evaluate(() => document.cookie)) === "");
  await otto.follow("nav-ledger");
  check("its earnings", (await otto.text("earned")) === "0");
  for (const path of ["/ui/mesh", "/ui/settings"]) {
    const answer = await otto.go(path);
    check(`${path} is not for it, and it is told so`, answer.status() === 403 && (await otto.text("problem")).includes("operator"));
  }
  const answer = await otto.go(`/ui/tasks/${secret}`);
  const page = await otto.page.content();
  check("what it may see of another's task has no input", (answer.status() === 200 || answer.status() === 404) && !page.includes("swordfish"));
  await otto.go("/ui/audit");
  check("the log has its own entries for it", (await otto.page.$$('[data-testid="entry"]')).length >= 1 && !(await otto.page.content()).includes("swordfish"));
  check("nothing was wrong for it", (await complain(otto, "403", "404")));
  await otto.go("/ui/agents");
  await otto.mark();
  await stage.ask(`/v1/agents/${agent.did}/revoke`, { body: {} });
  await otto.says("said", /not good any more/);
  check("let go by the operator, it is signed out at once", otto.page.url().includes("/ui/sign-in"));
};

const complain = async (window, ...expected) => {
  const wrong = window.complaints(...expected);
  wrong.forEach((text) => console.log(`      ${text}`));
  return wrong.length === 0;
};
