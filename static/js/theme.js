// The chosen theme, applied before the first paint; hence a plain script in the head.
(() => {
  const KEY = "finwave-theme";
  const root = document.documentElement;

  function chosen() {
    try {
      return localStorage.getItem(KEY) || "system";
    } catch {
      return "system"; // storage may be switched off
    }
  }

  function apply(choice) {
    if (choice === "system") delete root.dataset.theme;
    else root.dataset.theme = choice;
    for (const button of document.querySelectorAll("[data-theme-choice]")) {
      button.setAttribute("aria-pressed", String(button.dataset.themeChoice === choice));
    }
    document.dispatchEvent(new CustomEvent("finwave:theme", { detail: choice }));
  }

  apply(chosen());
  document.addEventListener("DOMContentLoaded", () => apply(chosen()));
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-theme-choice]");
    if (!button) return;
    try {
      localStorage.setItem(KEY, button.dataset.themeChoice);
    } catch {
      // The choice then lasts as long as the page.
    }
    apply(button.dataset.themeChoice);
  });
})();
