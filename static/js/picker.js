// Boxes beside a field of lines: ticking one adds its line to the field, unticking takes it away. The server checks.
(() => {
  "use strict";
  const boxes = () => [...document.querySelectorAll("[data-line-of]")];
  const field = (box) => document.getElementById(box.dataset.lineOf);
  const lines = (area) => area.value.split("\n").map((line) => line.trim()).filter(Boolean);
  const show = () => { for (const box of boxes()) box.checked = lines(field(box)).includes(box.value); };

  document.addEventListener("change", (event) => {
    const box = event.target;
    if (!box.matches?.("[data-line-of]")) return;
    const area = field(box);
    const others = lines(area).filter((line) => line !== box.value);
    area.value = [...others, ...(box.checked ? [box.value] : [])].join("\n");
    area.dispatchEvent(new Event("input", { bubbles: true }));
  });
  document.addEventListener("input", (event) => { if (event.target.matches?.("textarea")) show(); });
  document.addEventListener("htmx:after:swap", show);
  window.addEventListener("pageshow", show);
  show();
})();
