// The button that verifies, and the steps as they are done.

import { verify } from "./verify.js";

const SAID = {
  proven: ["good", "Proven: an entry of this kind, moment and request stands here in the log that the node signed. Its fields are shown as the node reads its bytes."],
  leaf: ["warn", "Only this is proven: a leaf stands at this index of the log. What the page says of the entry was not checked."],
  changed: ["warn", "It holds, for another node than the one that this browser verified here before. Ask the operator whether that is right."],
  unsigned: ["warn", "Not wholly checked: this browser cannot do all of it."],
  contradiction: ["bad", "Not proven: the node signed a log that contradicts the one that it showed before. Keep both, and ask the operator."],
  wrong: ["bad", "Not proven. Keep what you see, and ask the operator."],
};
const STEP_MS = matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 90;

const button = document.querySelector("[data-proof]");
const list = document.getElementById("proof-steps");
const verdict = document.getElementById("proof-verdict");

// What this browser verified of a node last, and which node that was under this address.
const NODE = "artel.node";
const recall = (name) => {
  try {
    return JSON.parse(localStorage.getItem(name));
  } catch {
    return null;
  }
};
const remember = (name, value) => {
  try {
    localStorage.setItem(name, JSON.stringify(value));
  } catch {
    // A browser that keeps nothing has nothing to compare with next time.
  }
};

button?.addEventListener("click", async () => {
  button.disabled = true;
  list.replaceChildren();
  verdict.textContent = "";
  const steps = [];
  const told = (title, detail, ok) => steps.push([title, detail, ok]);
  const { proof, ...shown } = button.dataset;
  const page = { ...shown, entry: proof.split("/").at(-2), public: shown.public === "true" };
  const [node, log] = [`${page.federation}/${page.peer}`, `artel.log.${page.peer}`];
  // Read before the answer can have come, so that another page's newer one is not held against it.
  const [last, known] = [recall(NODE), recall(log)];
  let outcome = "wrong";
  try {
    const answer = await fetch(proof, { credentials: "same-origin", headers: { accept: "application/json" } });
    if (!answer.ok) throw new Error(`the node answered ${answer.status}`);
    const found = await verify(await answer.json(), page, known, told);
    outcome = found.outcome;
    if (found.seen) {
      remember(log, found.seen);
      remember(NODE, node);
      if (last && last !== node) {
        told("Another node answers here than before", `before: ${last}`, null);
        outcome = "changed";
      }
    }
  } catch (error) {
    told("The proof did not come", error.message, false);
  }
  for (const [title, detail, ok] of steps) {
    const step = document.createElement("li");
    step.className = ok === null ? "warn" : ok ? "good" : "bad";
    const [name, code] = [document.createElement("strong"), document.createElement("code")];
    name.textContent = title;
    code.textContent = detail;
    step.append(name, code);
    list.append(step);
    await new Promise((done) => setTimeout(done, STEP_MS));
  }
  const [tone, said] = SAID[outcome];
  verdict.className = `verdict ${tone}`;
  verdict.textContent = said;
  button.disabled = false;
  button.focus();
});
