// The button that verifies, and the steps as they are done.

import { verify } from "./verify.js";

const SAID = {
  proven: ["good", "Proven: this entry stands in the log that the node signed."],
  unsigned: ["warn", "Not wholly checked: this browser cannot do all of it."],
  wrong: ["bad", "Not proven. Keep what you see, and ask the operator."],
};
const STEP_MS = matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 90;

const button = document.querySelector("[data-proof]");
const list = document.getElementById("proof-steps");
const verdict = document.getElementById("proof-verdict");

button?.addEventListener("click", async () => {
  button.disabled = true;
  list.replaceChildren();
  verdict.textContent = "";
  const steps = [];
  const told = (title, detail, ok) => steps.push([title, detail, ok]);
  let outcome = "wrong";
  try {
    const answer = await fetch(button.dataset.proof, { credentials: "same-origin", headers: { accept: "application/json" } });
    if (!answer.ok) throw new Error(`the node answered ${answer.status}`);
    outcome = await verify(await answer.json(), button.dataset.proof.split("/").at(-2), told);
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
