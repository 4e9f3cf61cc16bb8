// Choosing items: one, a stretch with Shift, all on the page. Arrow keys lead to the next item. Plots of tables.
(() => {
  "use strict";
  let last = null;
  const elsewhere = new Set(); // items that were chosen on pages before and after this one

  const form = () => document.querySelector("[data-choose]");
  const boxes = () => [...(form()?.querySelectorAll('input[name="item"][type=checkbox]') ?? [])];
  const count = () => {
    const known = form();
    if (!known) return;
    const all = boxes();
    const chosen = all.filter((box) => box.checked).length;
    const every = known.querySelector('input[name="all"]').checked;
    const sum = chosen + elsewhere.size;
    const others = elsewhere.size ? `, ${elsewhere.size} of them not on this page` : "";
    known.querySelector("[data-chosen]").textContent = every ? "All that fit are chosen" : sum ? `${sum} chosen${others}` : "None chosen";
    known.querySelector("[data-elsewhere]").replaceChildren(...[...elsewhere].map((item) => {
      const field = document.createElement("input");
      Object.assign(field, { type: "hidden", name: "item", value: item });
      return field;
    }));
    const whole = known.querySelector("[data-choose-all]");
    whole.checked = chosen > 0 && chosen === all.length;
    whole.indeterminate = chosen > 0 && chosen < all.length;
    known.classList.toggle("has-chosen", sum > 0 || every);
  };
  // What is chosen stays chosen while one looks at other pages of the list.
  let left = false;
  const leave = () => {
    for (const box of boxes()) if (box.checked) elsewhere.add(box.value);
    left = true;
  };
  // A question that was answered is gone with its form, whose events then reach nobody: it is seen by what comes next.
  let answered = false;
  document.addEventListener("submit", (event) => { answered ||= Boolean(form()) && event.target.method === "post" && Boolean(event.target.closest("#dialog")); }, true);
  const arrive = () => {
    if (answered && !document.querySelector("#dialog .confirm")) {
      answered = left = false;
      return clear();
    }
    if (left) for (const box of boxes()) box.checked = elsewhere.delete(box.value);
    left = false;
    count();
  };
  const clear = () => {
    elsewhere.clear();
    for (const box of form()?.querySelectorAll("input[type=checkbox]") ?? []) box.checked = false;
    last = null;
    count();
  };

  document.addEventListener("click", (event) => {
    const box = event.target.closest?.('[data-choose] input[name="item"]');
    if (!box) return;
    const all = boxes();
    const from = all.findIndex((one) => one.value === last);
    if (event.shiftKey && from >= 0) {
      const [low, high] = [from, all.indexOf(box)].sort((a, b) => a - b);
      all.slice(low, high + 1).forEach((one) => { one.checked = box.checked; });
    }
    last = box.value;
    count();
  });
  document.addEventListener("change", (event) => {
    if (!event.target.closest?.("[data-choose]")) return;
    if (event.target.matches("[data-choose-all]")) boxes().forEach((box) => { box.checked = event.target.checked; });
    count();
  });
  document.addEventListener("htmx:before:swap", (event) => { if (form() && event.detail.tasks.some((task) => task.target?.id === "list")) leave(); });
  document.addEventListener("htmx:after:swap", arrive);
  // What was done with the chosen items is done: the next choice begins anew. A question keeps the choice; whether one was
  // asked is seen once the answer is in the page, and by then a dialog that was answered is gone from it.
  const done = (event) => {
    const { request, response } = event.detail.ctx;
    if (request.method === "POST" && response?.status === 200) clear();
  };
  document.addEventListener("htmx:after:request", (event) => { if (event.target.closest?.("#dialog")) done(event); });
  document.addEventListener("htmx:finally:request", (event) => {
    if (event.target.matches?.("[data-choose]") && !document.querySelector("#dialog .confirm")) done(event);
  });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    if (event.target.closest("input:not([type=checkbox]), textarea, select, audio, video, dialog, [tabindex='0'], .chart-canvas")) return;
    if (event.key === "Escape" && form()) clear();
    const rel = { ArrowLeft: "prev", ArrowRight: "next" }[event.key];
    const link = rel && document.querySelector(`a[rel=${rel}]`);
    if (link) { event.preventDefault(); link.click(); }
  });

  // A table's column over time; the server thins it, keeping the extremes.
  const colour = (name) => {
    const probe = document.createElement("span");
    probe.style.color = `var(${name})`;
    document.body.append(probe);
    const value = getComputedStyle(probe).color;
    probe.remove();
    return value;
  };
  const plots = new WeakMap();
  const draw = async (figure) => {
    const name = figure.querySelector("[data-plot-column]").value;
    const canvas = figure.querySelector(".chart-canvas");
    const answer = await fetch(`${figure.dataset.plot}?column=${encodeURIComponent(name)}`, { headers: { Accept: "application/json" } });
    if (!answer.ok) return;
    const { x, y } = await answer.json();
    plots.get(figure)?.destroy();
    const axis = { stroke: colour("--tblr-secondary"), grid: { stroke: colour("--track"), width: 1 }, ticks: { stroke: colour("--track"), width: 1 }, font: "12px system-ui" };
    plots.set(figure, new window.uPlot({
      width: Math.max(240, canvas.clientWidth), height: 280, cursor: { drag: { x: true, y: false } },
      scales: { x: { time: true } }, axes: [axis, { ...axis, size: 60 }],
      series: [{ label: "Time" }, { label: name, stroke: colour("--series-1"), width: 1.5, points: { show: false } }],
    }, [x, y], canvas));
  };
  for (const figure of document.querySelectorAll("[data-plot]")) {
    figure.querySelector("[data-plot-column]").addEventListener("change", () => draw(figure));
    new ResizeObserver(([entry]) => plots.get(figure)?.setSize({ width: Math.max(240, entry.contentRect.width), height: 280 })).observe(figure.querySelector(".chart-canvas"));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw(figure));
    draw(figure);
  }
  count();
})();
