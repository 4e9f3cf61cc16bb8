// Lets clocks tick between two messages of the server, and says times in the viewer's zone.
(() => {
  "use strict";
  const two = (n) => String(n).padStart(2, "0");
  const duration = (ms) => {
    const all = Math.max(0, Math.floor(ms / 1000));
    const [d, h, m, s] = [Math.floor(all / 86400), Math.floor(all / 3600) % 24, Math.floor(all / 60) % 60, all % 60];
    if (d) return `${d} d ${two(h)} h ${two(m)} m`;
    if (h) return `${h} h ${two(m)} m ${two(s)} s`;
    return m ? `${m} m ${two(s)} s` : `${s} s`;
  };
  const ago = (ms) => {
    const s = Math.abs(ms) / 1000;
    if (s < 10) return "just now";
    const [n, unit] = s < 60 ? [s, "s"] : s < 3600 ? [s / 60, "min"] : s < 86400 ? [s / 3600, "h"] : [s / 86400, "d"];
    return ms > 0 ? `${Math.floor(n)} ${unit} ago` : `in ${Math.floor(n)} ${unit}`;
  };
  const lasting = (ms) => (ms < 10000 ? "for some seconds" : `for ${ago(ms).slice(0, -4)}`);
  const told = (prefix, ms) => (prefix === "since" ? lasting(ms) : (prefix ? `${prefix} ` : "") + ago(ms));
  const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });
  const say = (element, text) => { if (element.textContent !== text) element.textContent = text; };

  const tick = () => {
    const now = Date.now() + skew;
    for (const e of document.querySelectorAll(".ticking[data-started]")) say(e, duration(now - e.dataset.started));
    for (const e of document.querySelectorAll("time.moment")) {
      const at = Date.parse(e.dateTime);
      const title = exact.format(at);
      if (e.title !== title) e.title = title;
      if (Math.abs(now - at) < 30 * 86400e3) say(e, told(e.dataset.prefix, now - at));
    }
  };
  // The viewer's clock may be wrong; what counts is the server's.
  const server = Number(document.documentElement.dataset.now);
  const skew = server && Math.abs(server - Date.now()) > 5000 ? server - Date.now() : 0;
  // The zone in which times are typed: the server turns them into moments.
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const sayZone = () => {
    for (const field of document.querySelectorAll("input[data-zone]")) if (!field.value) field.value = zone || "";
    for (const name of document.querySelectorAll("[data-zone-name]")) say(name, zone || "UTC");
  };
  sayZone();
  tick();
  setInterval(tick, 1000);
  document.addEventListener("htmx:after:swap", () => { tick(); sayZone(); });
})();
