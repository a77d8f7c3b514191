// Debian's chromium looks at the dashboard of a real demo. One line a check; the first that fails ends it with status 1.

import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as agent from "./agent.mjs";
import * as keyboard from "./keyboard.mjs";
import * as operator from "./operator.mjs";
import * as screens from "./screens.mjs";
import { Stage } from "./stage.mjs";
import * as stranger from "./stranger.mjs";
import { Window, launch } from "./window.mjs";

const [binary, repository, chromium] = process.argv.slice(2);
const stage = new Stage(binary, repository);
const place = process.env.ARTEL_CI_SCREENS ?? mkdtempSync(join(tmpdir(), "artel-screens-"));
let [browser, checks] = [undefined, 0];

const check = (what, holds) => {
  if (!holds) throw new Error(`it does not hold that ${what}`);
  checks += 1;
  console.log(`  ok  ${what}`);
};

// What a page that refuses a form or is not there is logged as, by the browser itself.
const REFUSALS = ["status of 422", "status of 404"];

try {
  browser = await launch(chromium);
  await stage.begin();
  const world = { stage, check, screens: place, window: (url = stage.url) => Window.open(browser, url), operator: await Window.open(browser, stage.url) };
  const acts = [
    operator.watchesARunFinish, operator.opensTheGraph, operator.postsATask, operator.verifiesAProof, operator.invitesANode, operator.seesWhatOtherHomesPaid, operator.readsWhatOthersWrote, operator.choosesColours, operator.looksAwayAndBack,
    stranger.seesNoSecret, agent.seesItsOwn, keyboard.doesItAll, screens.areTaken, stranger.getsNothingByAnotherName,
  ];
  for (const act of acts) {
    console.log(act.name.replace(/([A-Z])/g, " $1").toLowerCase());
    await act(world);
    const wrong = world.operator.complaints(...REFUSALS);
    wrong.forEach((text) => console.log(`      ${text}`));
    check("no console error, no policy report", wrong.length === 0);
  }
  console.log(`${checks} checks hold; the pictures are in ${place}`);
} catch (error) {
  console.log(stage.log());
  console.log(`FAILED: ${error.stack}`);
  process.exitCode = 1;
} finally {
  await browser?.close();
  await stage.end();
}
