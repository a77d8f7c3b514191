// Everything again, with the keyboard alone: no mouse, no focus that is not seen.

/** Presses Tab until an element has the focus, and says whether that can be seen. */
const tabTo = async (window, testid, most = 400) => {
  for (let presses = 0; presses < most; presses += 1) {
    const here = await window.page.evaluate(() => {
      const element = document.activeElement;
      // In a picture the box shows the focus, not the link around it.
      const shows = element?.querySelector?.("rect") ?? element;
      const style = shows && getComputedStyle(shows);
      const seen = style && (style.outlineStyle !== "none" || parseFloat(style.strokeWidth) >= 3 || style.boxShadow !== "none");
      return { testid: element?.dataset?.testid, seen };
    });
    if (here.testid === testid) {
      if (!here.seen) throw new Error(`the focus on ${testid} cannot be seen`);
      return;
    }
    await window.page.keyboard.press("Tab");
  }
  throw new Error(`${testid} is not reached by Tab`);
};

const enter = (window) => Promise.all([window.page.waitForNavigation({ waitUntil: "load" }), window.page.keyboard.press("Enter")]);

/** Two letters that go to a page. */
const jump = async (window, letter) => {
  await window.page.keyboard.press("g");
  await Promise.all([window.page.waitForNavigation({ waitUntil: "load" }), window.page.keyboard.press(letter)]);
};

export const doesItAll = async ({ stage, window, check }) => {
  const person = await window();
  const { keyboard } = person.page;
  await person.go("/");
  await keyboard.press("Tab");
  check("the first Tab is at the skip link", (await person.page.evaluate(() => document.activeElement.dataset.testid)) === "skip");
  await tabTo(person, "sign-in-link");
  await enter(person);
  await tabTo(person, "token");
  await keyboard.type(stage.token);
  await enter(person);
  check("signs in", person.page.url() === `${stage.url}/ui`);
  await keyboard.press("?");
  await person.find("keys-close");
  await keyboard.press("Escape");
  check("the help opens and closes", await person.page.$eval("#keys", (dialog) => !dialog.open));
  await Promise.all([person.page.waitForNavigation({ waitUntil: "load" }), keyboard.press("n")]);
  await tabTo(person, "title");
  await keyboard.type("By keyboard");
  await tabTo(person, "skills");
  await keyboard.type("browser");
  await tabTo(person, "submit-task");
  await enter(person);
  await person.says("task-state", /^accepted$/);
  check("posts a task and sees it done", (await person.text("task-title")) === "By keyboard");
  await jump(person, "r");
  await tabTo(person, "filter-status");
  await keyboard.type("comp");
  await tabTo(person, "filter");
  await enter(person);
  check("filters the runs", person.page.url().includes("status=completed"));
  await tabTo(person, "run");
  await enter(person);
  await tabTo(person, "graph-step");
  await enter(person);
  check("opens a step of the graph", person.page.url().includes("/steps/"));
  await jump(person, "l");
  await tabTo(person, "entry");
  await enter(person);
  await tabTo(person, "verify");
  await keyboard.press("Enter");
  await person.says("proof-verdict", /^Proven/);
  check("verifies a proof", true);
  await tabTo(person, "nav-mesh");
  await enter(person);
  await tabTo(person, "to-invitations");
  await enter(person);
  await tabTo(person, "invite");
  await enter(person);
  const invitations = async () => (await person.page.$$('[data-testid="take-back"]')).length;
  const before = await invitations();
  check("invites a node", (await person.text("invitation")).length > 60);
  await tabTo(person, "take-back");
  await enter(person);
  check("takes one back", (await invitations()) === before - 1);
  await keyboard.press("g");
  await keyboard.press("o");
  await person.page.waitForFunction(() => location.pathname === "/ui");
  await person.page.setViewport({ width: 360, height: 800 });
  await tabTo(person, "menu");
  await keyboard.press("Enter");
  await tabTo(person, "nav-agents");
  await enter(person);
  check("goes through the menu of a narrow screen", person.page.url().endsWith("/ui/agents"));
  await person.page.setViewport({ width: 1280, height: 900 });
  await tabTo(person, "sign-out");
  await enter(person);
  check("signs out", person.page.url().includes("/ui/sign-in"));
  const wrong = person.complaints();
  wrong.forEach((text) => console.log(`      ${text}`));
  check("nothing was wrong on the way", wrong.length === 0);
};
