// Draws metric curves with uPlot. The server thins them; new points arrive as `points` events of the page's stream.
(() => {
  "use strict";
  const MAX_POINTS = 1500; // asked of the server for each curve
  const TOO_MANY = 6000; // then the whole curve is asked for again, thinned
  const NO_DATA = [[], []];

  const colour = (name) => {
    const probe = document.createElement("span");
    probe.style.color = `var(${name})`;
    document.body.append(probe);
    const value = getComputedStyle(probe).color;
    probe.remove();
    return value;
  };
  const faint = (value) => value.replace(/\)$/, " / 30%)").replace(/^rgb\((\d+), (\d+), (\d+)/, "rgb($1 $2 $3");
  const figure = (value) => (value == null ? "–" : Math.abs(value) >= 1000 || Number.isInteger(value)
    ? Math.round(value).toLocaleString("en") : Math.abs(value) >= 0.001 ? String(Number(value.toPrecision(4))) : value.toExponential(2));

  // Steps of 1, 2 and 5 times a power of ten; a run's steps are whole. A tick has as many decimals as its step.
  const INCREMENTS = [];
  for (let power = -12; power <= 15; power++) for (const digit of [1, 2, 5]) INCREMENTS.push(Number(`${digit}e${power}`));
  const WHOLE = INCREMENTS.filter((step) => step >= 1);
  const tick = (value, step) => {
    if (value == null) return "";
    const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    if (value && (decimals > 5 || Math.abs(value) >= 1e7)) {
      const digits = Math.floor(Math.log10(Math.abs(value)) + 1e-9) - Math.floor(Math.log10(step) + 1e-9);
      return value.toExponential(Math.min(12, Math.max(0, digits)));
    }
    return value.toLocaleString("en", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
  };

  // Exponential mean with the bias of its beginning taken out; gaps stay gaps.
  const smooth = (values, weight) => {
    let mean = 0;
    let mass = 0;
    return values.map((value) => {
      if (value == null) return null;
      mean = mean * weight + (1 - weight) * value;
      mass = mass * weight + (1 - weight);
      return mean / mass;
    });
  };

  class Chart {
    constructor(root) {
      this.root = root;
      this.canvas = root.querySelector(".chart-canvas");
      this.series = JSON.parse(root.dataset.series);
      this.data = new Map();
      this.waiting = [];
      this.reported = new Set();
      this.zoomed = false;
      for (const tool of root.querySelectorAll("[data-tool]")) {
        tool.addEventListener(tool.tagName === "BUTTON" ? "click" : "input", () => this.tool(tool.dataset.tool));
      }
      new ResizeObserver(() => this.plot?.setSize(this.size())).observe(this.canvas);
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw(true));
      // With a stream the curve is asked for at its first message: see below.
      setTimeout(() => { if (!this.asked) this.load(); }, document.querySelector("[data-stream]") ? 1500 : 0);
    }

    size() { return { width: Math.max(240, this.canvas.clientWidth), height: 280 }; }
    setting(name) { return this.root.querySelector(`[data-tool=${name}]`); }

    async load() {
      if (this.loading) { this.again = true; return; }
      this.asked = true;
      this.loading = true;
      try {
        if ("together" in this.root.dataset) await this.fetchTogether();
        else await Promise.all(this.series.map(async ({ name, known }) => {
          if (!known && !this.reported.has(name)) return; // it comes with its first point
          const url = `${this.root.dataset.url}?name=${encodeURIComponent(name)}&max_points=${MAX_POINTS}`;
          const answer = await fetch(url, { headers: { Accept: "application/json" } });
          if (!answer.ok) return;
          const { points } = await answer.json();
          this.data.set(name, [points.map((p) => p.step), points.map((p) => p.value)]);
        }));
      } catch (error) {
        if (!(error instanceof TypeError)) throw error; // a lost connection: once it is back, all is loaded again
      } finally { this.loading = false; }
      if (this.again) { this.again = false; await this.load(); return; }
      this.waiting.splice(0).forEach((points) => this.add(points));
      this.draw(true);
    }

    // The curves of several runs, over an axis that the page has chosen, come in one answer.
    async fetchTogether() {
      const answer = await fetch(this.root.dataset.url, { headers: { Accept: "application/json" } });
      if (!answer.ok) return;
      for (const { run, x, values } of (await answer.json()).curves) this.data.set(String(run), [x, values]);
    }

    push(points) {
      const fresh = this.series.filter(({ name }) => points[name] && !this.data.has(name) && !this.reported.has(name));
      if (fresh.length && this.asked) {
        fresh.forEach(({ name }) => this.reported.add(name)); // its first points may have come before the stream
        this.load();
      }
      if (this.loading) { this.waiting.push(points); return; }
      this.add(points);
      if (Math.max(0, ...[...this.data.values()].map(([steps]) => steps.length)) > TOO_MANY) this.load();
      else this.later();
    }

    add(points) {
      for (const { name } of this.series) {
        if (!points[name]) continue;
        const [steps, values] = this.data.get(name) ?? [[], []];
        points[name][0].forEach((step, i) => {
          if (steps.length && step <= steps[steps.length - 1]) return;
          steps.push(step);
          values.push(points[name][1][i]);
        });
        this.data.set(name, [steps, values]);
      }
    }

    later() { this.frame ??= requestAnimationFrame(() => { this.frame = null; this.draw(false); }); }

    columns() {
      const weight = Number(this.setting("smooth")?.value ?? 0) / 100;
      const tables = this.series.map(({ name }) => this.data.get(name) ?? NO_DATA);
      const [steps, ...raw] = window.uPlot.join(tables.map(([x, y]) => [x, y]));
      // A curve that is mostly gaps (validation) has nothing to smooth.
      return [steps, ...raw.flatMap((values, i) => [values, tables[i][0].length > 60 && weight ? smooth(values, weight) : values])];
    }

    draw(anew) {
      const any = [...this.data.values()].some(([steps]) => steps.length);
      const empty = this.root.querySelector(".chart-empty");
      if (empty) { empty.hidden = any; empty.textContent = empty.dataset.none; }
      if (!any) return;
      const columns = this.columns();
      if (this.plot && !anew) {
        const { min, max } = this.plot.scales.x;
        this.plot.setData(columns, !this.zoomed);
        if (this.zoomed) this.plot.setScale("x", { min, max });
        return;
      }
      const kept = this.zoomed && this.plot ? { min: this.plot.scales.x.min, max: this.plot.scales.x.max } : null;
      this.plot?.destroy();
      this.plot = new window.uPlot(this.options(), columns, this.canvas);
      if (kept) this.plot.setScale("x", kept);
    }

    options() {
      const text = colour("--tblr-secondary");
      const grid = colour("--track");
      const log = this.setting("log")?.checked ?? false;
      const axis = { stroke: text, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 }, font: "12px system-ui" };
      const lines = this.series.flatMap(({ name, label, tone, dash: given }, i) => {
        const stroke = colour(`--series-${tone ?? (i % 2) + 1}`);
        const dash = given ?? (i % 2 ? [6, 4] : undefined);
        const dots = tone ? (this.data.get(name)?.[0].length ?? 0) < 40 : i % 2;
        const common = { spanGaps: true, value: (_, v) => figure(v), dash };
        return [
          { ...common, label: `${label} (raw)`, class: "raw", stroke: faint(stroke), width: 1, points: { show: false } },
          { ...common, label, stroke, width: 2, points: dots ? { show: true, size: 5, fill: stroke } : { show: false } },
        ];
      });
      return {
        ...this.size(),
        cursor: { drag: { x: true, y: false, setScale: true } },
        scales: { x: { time: false }, y: { distr: log ? 3 : 1 } },
        axes: [
          { ...axis, size: 34, incrs: WHOLE, values: (_, ticks, __, ___, step) => ticks.map((v) => tick(v, step)) },
          { ...axis, size: 62, ...(log ? {} : { incrs: INCREMENTS }),
            values: (_, ticks, __, ___, step) => ticks.map((v) => (log ? (v == null ? "" : figure(v)) : tick(v, step))) },
        ],
        series: [{ label: this.root.dataset.axis ?? "Step", value: (_, v) => (v == null ? "–" : v.toLocaleString("en")) }, ...lines],
        hooks: {
          setSelect: [() => { this.zoomed = true; }],
          drawClear: [(plot) => this.marks(plot, grid, text)],
          ready: [(plot) => plot.over.addEventListener("dblclick", () => { this.zoomed = false; })],
        },
      };
    }

    // Upright lines where a checkpoint was saved or the run was taken up again.
    marks(plot, grid, text) {
      const source = document.querySelector("#chart-marks [data-marks]");
      if (!source) return;
      const { ctx, bbox } = plot;
      ctx.save();
      for (const { step, kind } of JSON.parse(source.dataset.marks)) {
        const x = Math.round(plot.valToPos(step, "x", true));
        if (x < bbox.left || x > bbox.left + bbox.width) continue;
        ctx.strokeStyle = kind === "checkpoint" ? grid : text;
        ctx.setLineDash(kind === "checkpoint" ? [2, 3] : []);
        ctx.beginPath();
        ctx.moveTo(x, bbox.top);
        ctx.lineTo(x, bbox.top + bbox.height);
        ctx.stroke();
      }
      ctx.restore();
    }

    tool(name) {
      if (!this.plot) return;
      const { min, max } = this.plot.scales.x;
      const steps = this.plot.data[0];
      const [first, last] = [steps[0], steps[steps.length - 1]];
      if (name === "in") this.zoom(max - (max - min) / 2, max);
      else if (name === "out") this.zoom(Math.max(first, max - (max - min) * 2), max);
      else if (name === "reset") { this.zoomed = false; this.draw(true); }
      else if (name === "earlier") this.zoom(Math.max(first, min - (max - min) / 2), Math.max(first + max - min, max - (max - min) / 2));
      else if (name === "later") this.zoom(Math.min(last - (max - min), min + (max - min) / 2), Math.min(last, max + (max - min) / 2));
      else this.draw(true);
    }

    zoom(min, max) { this.zoomed = true; this.plot.setScale("x", { min, max }); }
  }

  const charts = [];
  const find = () => {
    for (const root of document.querySelectorAll("[data-chart]:not([data-drawn])")) {
      root.setAttribute("data-drawn", "");
      charts.push(new Chart(root));
    }
  };
  // After (re)connecting, the first message means that the stream goes on from a state that a fetch now includes.
  let stale = true;
  document.addEventListener("htmx:after:sse:connection", () => { stale = true; });
  document.addEventListener("htmx:before:sse:message", () => { if (stale) { stale = false; charts.forEach((c) => c.load()); } });
  document.addEventListener("points", (event) => {
    const points = JSON.parse(event.detail.data);
    charts.forEach((chart) => chart.push(points));
  });
  find();
  document.addEventListener("htmx:after:swap", find);
})();
