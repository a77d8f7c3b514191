// The keyboard: a few letters that go places, a help that lists them, and questions before what cannot be undone.

const PLACES = { o: "/ui", r: "/ui/runs", t: "/ui/tasks", a: "/ui/agents", e: "/ui/events", l: "/ui/audit" };
const help = document.getElementById("keys");
let going = 0;

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
  if (typing || event.ctrlKey || event.metaKey || event.altKey || help?.open) return;
  const signedIn = document.body.dataset.live !== undefined;
  if (event.key === "?") help?.showModal();
  else if (event.key === "/" && document.querySelector("[data-filter]")) document.querySelector("[data-filter]").focus();
  else if (signedIn && event.key === "g") going = event.timeStamp;
  else if (signedIn && event.timeStamp - going < 1_500 && PLACES[event.key]) location.assign(PLACES[event.key]);
  else if (signedIn && event.key === "n") location.assign("/ui/tasks/new");
  else return;
  event.preventDefault();
});

document.querySelector("[data-keys]")?.addEventListener("click", () => help?.showModal());

document.addEventListener("submit", (event) => {
  const question = event.target.dataset?.ask;
  if (question && !confirm(question)) event.preventDefault();
});

// Where we are, in the list of pages.
const path = location.pathname;
for (const link of document.querySelectorAll("#nav a[href]")) {
  const to = link.getAttribute("href");
  const parts = { "/ui/tasks": "/ui/offers", "/ui/mesh": "/ui/invitations", "/ui/settings": "/ui/doctor" };
  if (path === to || (to !== "/ui" && path.startsWith(`${to}/`)) || path === parts[to]) {
    link.setAttribute("aria-current", "page");
  }
}
