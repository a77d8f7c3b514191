// The button that verifies, and the steps as they are done.

import { verify } from "./verify.js";

const SAID = {
  proven: ["good", "Proven: an entry of this kind, moment and request stands here in the log that the node signed. Its fields are shown as the node reads its bytes."],
  leaf: ["warn", "Only this is proven: a leaf stands at this index of the log. What the page says of the entry was not checked."],
  changed: ["warn", "It holds, for another node than the one that this browser verified here before. Ask the operator whether that is right."],
  older: ["warn", "The entry stands in a log that the node signed, but in an earlier state of it than this browser verified before. A node goes back to none, so an old answer came, or a copy of its data runs. Try again; where it stays so, ask the operator."],
  unlinked: ["warn", "The entry stands in the log that the node signed now, but the node did not show that this log continues the one that was verified here before. Try again; where it stays so, ask the operator."],
  unsigned: ["warn", "Not wholly checked: this browser cannot do all of it."],
  contradiction: ["bad", "Not proven: the node signed a log that contradicts the one that it showed before. Keep what stands above: together it is the evidence."],
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

const forget = (name) => {
  try {
    localStorage.removeItem(name);
  } catch {
    // Then there is nothing to forget.
  }
};
const asked = async (path) => {
  const answer = await fetch(path, { credentials: "same-origin", headers: { accept: "application/json" } });
  if (!answer.ok) throw new Error(`the node answered ${answer.status}`);
  return answer.json();
};
const ask = async (from, to) => (await asked(`/ui/audit/consistency?from=${from}&to=${to}`)).hashes;

// A contradiction is told on every page of an entry, until a person has said that they keep it.
const ALARM = button && `artel.alarm.${button.dataset.peer}`;
const alarm = document.getElementById("proof-alarm");
const raise = (notes) => {
  if (!notes || !alarm) return;
  document.getElementById("proof-notes").textContent = notes.join("\n");
  alarm.hidden = false;
};
raise(ALARM && recall(ALARM));
document.getElementById("proof-kept")?.addEventListener("click", () => {
  forget(ALARM);
  alarm.hidden = true;
  button.focus();
});

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
    const found = await verify(await asked(proof), page, known, told, ask);
    outcome = found.outcome;
    if (outcome === "contradiction") {
      const notes = [known.note ?? "", found.now, found.growth ?? ""].filter((note) => note !== "");
      remember(ALARM, notes);
      raise(notes);
    }
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
