// Reviewing by keyboard: single keys press the buttons that name them; a verdict that needs a reason asks for it first.
(() => {
  "use strict";
  const STORED = "review-keys";
  let pending = null; // the key of the button that waits for a reason, and the item that it is about

  const box = () => document.getElementById("reason");
  const toggle = document.getElementById("review-keys");
  if (toggle) {
    toggle.checked = window.localStorage.getItem(STORED) !== "off";
    toggle.addEventListener("change", () => window.localStorage.setItem(STORED, toggle.checked ? "on" : "off"));
  }

  const item = () => document.querySelector("#review [data-item]")?.dataset.item;
  const ask = (button) => { pending = { key: button.dataset.key, item: item() }; box().focus(); };
  const button = (key) => document.querySelector(`#review [data-key="${key}"]`);

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (event.target === box()) {
      if (event.key === "Escape") { pending = null; box().blur(); }
      if (event.key === "Enter" && !event.shiftKey && pending?.item === item() && box().value.trim()) {
        event.preventDefault();
        box().blur(); // htmx would put the focus into the next item's box, and keys would be letters there
        button(pending.key)?.click();
      }
      return;
    }
    if (!toggle?.checked || event.repeat || event.target.closest("input, textarea, select, audio, video")) return;
    const chosen = button(event.key.toLowerCase());
    if (chosen) { event.preventDefault(); chosen.click(); }
  });

  document.addEventListener("click", (event) => {
    const chosen = event.target.closest("#review [data-reason]");
    if (chosen && !box().value.trim()) { event.preventDefault(); event.stopPropagation(); ask(chosen); }
  }, true);

  // The next pictures are on their way before they are asked for.
  const ahead = () => {
    for (const next of document.querySelectorAll("#review [data-ahead]")) new Image().src = next.dataset.ahead;
  };
  document.addEventListener("htmx:after:swap", ahead);
  ahead();
})();
