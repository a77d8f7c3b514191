// The colours that were chosen, before anything is drawn. It runs while the page is read, so it is short.
(() => {
  const CHOICES = ["auto", "light", "dark"];
  const WORDS = { auto: ["Auto", "as the system has them"], light: ["Light", "light"], dark: ["Dark", "dark"] };
  const chosen = () => {
    try {
      const kept = localStorage.getItem("artel-theme");
      return CHOICES.includes(kept) ? kept : "auto";
    } catch {
      return "auto";
    }
  };
  const apply = (choice) => {
    document.documentElement.dataset.theme = choice;
    const button = document.getElementById("theme");
    if (!button) return;
    button.textContent = WORDS[choice][0];
    button.setAttribute("aria-label", `Colours: ${WORDS[choice][1]}`);
  };
  apply(chosen());
  document.addEventListener("DOMContentLoaded", () => {
    apply(chosen());
    document.getElementById("theme")?.addEventListener("click", () => {
      const next = CHOICES[(CHOICES.indexOf(document.documentElement.dataset.theme) + 1) % CHOICES.length];
      try {
        localStorage.setItem("artel-theme", next);
      } catch {
        // Not kept then; it holds for this page.
      }
      apply(next);
    });
  });
})();
