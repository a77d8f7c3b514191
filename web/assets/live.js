// Keeps a page as the node is: listens to the stream of names that changed, and lets htmx ask anew for what shows them.
// What moved is marked for a moment; nothing else moves.

const state = document.getElementById("live-state");
const say = (word) => {
  if (!state || state.textContent === word) return;
  state.textContent = word;
  state.dataset.state = word;
};

// Names that came while the page was hidden wait until it is looked at.
let waiting = new Set();
const tell = (names) => {
  for (const name of names) waiting.add(name);
  if (document.hidden) return;
  const now = waiting;
  waiting = new Set();
  const wanted = now.has("all") ? everything() : now;
  for (const name of wanted) window.htmx.trigger(document.body, `live:${name}`);
};

// The names that this page's parts wait for.
const everything = () => {
  const triggers = [...document.querySelectorAll("[hx-trigger]")].map((part) => part.getAttribute("hx-trigger"));
  return new Set(triggers.flatMap((text) => [...text.matchAll(/live:(\S+)/g)].map((match) => match[1])));
};

const leave = () => location.assign("/ui/sign-in?ended=1");

// Whether the session is still good: a stream that is refused does not say why.
const stay = async () => {
  try {
    const answer = await fetch(location.href, { headers: { "hx-request": "true" } });
    return answer.status !== 401 && !answer.headers.has("hx-redirect");
  } catch {
    return true;
  }
};
document.addEventListener("htmx:responseError", (event) => {
  if (event.detail.xhr.status === 401) leave();
});

// Where the stream goes on that is opened after a refusal: where it was told to last, or where the page was made.
let from = document.body.dataset.live;

const listen = () => {
  const source = new EventSource(from);
  // A stream that was cut goes on where it was: the browser says how far it was told.
  source.addEventListener("begun", () => say("live"));
  source.addEventListener("changed", (event) => {
    if (event.lastEventId) from = `/ui/live?after=${encodeURIComponent(event.lastEventId)}`;
    tell(JSON.parse(event.data));
  });
  source.addEventListener("ended", () => {
    source.close();
    leave();
  });
  source.addEventListener("error", () => {
    say("reconnecting");
    // A refusal closes the source for good: too many pages, or no session any more.
    if (source.readyState !== EventSource.CLOSED) return;
    say("not live");
    stay().then((may) => (may ? setTimeout(listen, 10_000) : leave()));
  });
  window.addEventListener("pagehide", () => source.close(), { once: true });
};

document.addEventListener("visibilitychange", () => {
  if (!document.hidden && waiting.size > 0) tell([]);
});
// A page that comes back from the browser's own store has no stream.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});

// What a person opened or scrolled stays so, and what changed its mark moved.
const moved = (node) => {
  node.classList.remove("moved");
  requestAnimationFrame(() => node.classList.add("moved"));
};
document.addEventListener("animationend", (event) => {
  if (event.animationName === "moved") event.target.classList.remove("moved");
});
if (window.Idiomorph) {
  const callbacks = window.Idiomorph.defaults.callbacks;
  callbacks.beforeAttributeUpdated = (name, node) => !(name === "open" && node.tagName === "DETAILS") && !(name === "class" && node.tagName === "HTML");
  callbacks.beforeNodeMorphed = (old, fresh) => {
    const mark = old.dataset?.mark;
    if (mark !== undefined && fresh.dataset?.mark !== mark) setTimeout(() => moved(old));
    return true;
  };
  callbacks.afterNodeAdded = (node) => {
    if (node.dataset?.mark !== undefined) moved(node);
  };
}

// Moments are told from now, so they are told again.
const ago = (ms) => {
  const s = Math.floor(Math.abs(ms) / 1000);
  if (s < 2) return "now";
  const told = s < 60 ? `${s} s` : s < 3600 ? `${Math.floor(s / 60)} min` : s < 86400 ? `${Math.floor(s / 3600)} h` : `${Math.floor(s / 86400)} d`;
  return ms >= 0 ? `${told} ago` : `in ${told}`;
};
setInterval(() => {
  if (document.hidden) return;
  for (const time of document.querySelectorAll("time:not([data-clock])")) {
    const told = ago(Date.now() - Date.parse(time.dateTime));
    if (time.textContent !== told) time.textContent = told;
  }
}, 5_000);

listen();
