// Pictures of the pages at three widths, light and dark. None scrolls sideways.

import { mkdirSync } from "node:fs";
import { join } from "node:path";

const WIDTHS = [360, 1280, 2560];
const THEMES = ["light", "dark"];

export const areTaken = async ({ stage, operator, window, check, screens }) => {
  mkdirSync(screens, { recursive: true });
  const run = (await stage.ask("/v1/runs?status=completed&limit=200")).items.sort((a, b) => b.progress.steps - a.progress.steps)[0];
  const [step] = (await stage.ask(`/v1/runs/${run.run_id}/steps`)).items;
  const task = (await stage.ask("/v1/tasks?status=accepted")).items.at(-1);
  const agent = (await stage.ask("/v1/agents")).items.sort((a, b) => b.total_tasks_completed - a.total_tasks_completed)[0];
  const artifact = (await stage.ask("/v1/artifacts?kind=report")).items[0];
  const pages = {
    public: "/", overview: "/ui", runs: "/ui/runs", run: `/ui/runs/${run.run_id}`, tasks: "/ui/tasks", task: `/ui/tasks/${task.task_id}`, "task-new": "/ui/tasks/new",
    offers: "/ui/offers", agents: "/ui/agents", agent: `/ui/agents/${agent.agent_id}`, artifacts: "/ui/artifacts", artifact: `/ui/artifacts/${artifact.artifact_id}`,
    step: `/ui/runs/${run.run_id}/steps/${step.step_id}`, mesh: "/ui/mesh", invitations: "/ui/invitations", doctor: "/ui/doctor", audit: "/ui/audit", entry: "/ui/audit/20", ledger: "/ui/ledger", events: "/ui/events", settings: "/ui/settings", nothing: "/ui/nothing",
  };
  const person = await window();
  await person.signIn((await stage.agent("Vera", "vera")).token);
  const views = [[operator, pages], [person, { "agent-overview": "/ui", "agent-earnings": "/ui/ledger", "agent-tasks": "/ui/tasks" }], [await window(), { "sign-in": "/ui/sign-in" }]];
  const [wide, count] = [[], views.reduce((sum, [, pages]) => sum + Object.keys(pages).length, 0)];
  for (const [who, seen] of views) wide.push(...(await take(who, seen, screens)));
  check(`${count * WIDTHS.length * THEMES.length} pictures, none scrolls sideways ${wide.join(", ")}`, wide.length === 0);
};

/** Takes pictures, and gives the pages that are too wide. */
const take = async (who, pages, screens) => {
  const { page } = who;
  const wide = [];
  for (const theme of THEMES) {
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: theme }, { name: "prefers-reduced-motion", value: "reduce" }]);
    for (const width of WIDTHS) {
      await page.setViewport({ width, height: width < 500 ? 800 : 1200 });
      for (const [name, path] of Object.entries(pages)) {
        await who.go(path);
        if (await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth)) wide.push(`${name} at ${width}`);
        await page.screenshot({ path: join(screens, `${name}-${width}-${theme}.png`) });
      }
    }
  }
  await page.emulateMediaFeatures([]);
  await page.setViewport({ width: 1280, height: 900 });
  return wide;
};
