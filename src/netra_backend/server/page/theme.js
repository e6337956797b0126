// The theme: light, dark, or as the system says. A classic script in the head, not a module, so
// that it runs before the first paint.
(() => {
  const KEY = "netra.theme";
  const NEXT = { auto: "light", light: "dark", dark: "auto" };
  const TEXT = { auto: "Theme: as the system", light: "Theme: light", dark: "Theme: dark" };
  const root = document.documentElement;

  function show(theme) {
    root.dataset.theme = theme;
    const toggle = document.getElementById("theme-toggle");
    toggle?.setAttribute("aria-label", TEXT[theme]);
    toggle?.setAttribute("title", TEXT[theme]);
  }

  function stored() {
    try {
      const theme = localStorage.getItem(KEY);
      return theme in NEXT ? theme : "auto";
    } catch {
      return root.dataset.theme; // The browser is told to keep no data.
    }
  }

  function keep(theme) {
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // Then it lasts until the page is left.
    }
  }

  show(stored());
  document.addEventListener("DOMContentLoaded", () => show(stored()));
  addEventListener("storage", () => show(stored())); // The other tabs follow.
  document.addEventListener("click", (event) => {
    if (!event.target.closest("#theme-toggle")) return;
    const theme = NEXT[root.dataset.theme];
    keep(theme);
    show(theme);
  });
})();
