// Says when the page's stream is lost, keeps the manners of a page: dialogs, toasts, '/' for search.
(() => {
  "use strict";
  const LATE = 1500; // ms before a lost stream is spoken of: a restart is shorter
  let timer = 0;

  const bar = () => document.getElementById("connection");
  const lost = () => {
    timer ||= setTimeout(() => { const b = bar(); if (b && !document.hidden) b.hidden = false; }, LATE);
  };
  const back = () => { clearTimeout(timer); timer = 0; const b = bar(); if (b) b.hidden = true; };
  // What the page shows was deleted, or is no longer theirs: nothing more will come.
  let over = false;
  const gone = () => { over = true; back(); document.getElementById("gone").hidden = false; };
  const isGone = (status) => status === 404 || status === 403;

  document.addEventListener("htmx:sse:error", (event) => {
    if (event.detail.status === 401) { window.location.reload(); return; } // signed out: the page asks for sign-in
    if (isGone(event.detail.status)) gone(); else lost();
  });
  // A first connection that fails is tried again here; later ones are the extension's business.
  const again = (stream) => {
    lost();
    setTimeout(() => {
      if (stream.isConnected && !stream._htmx?.sse) window.htmx.ajax("GET", stream.getAttribute("hx-sse:connect"), { source: stream });
    }, 3000);
  };
  const trouble = () => {
    const words = document.getElementById("trouble");
    if (words) document.getElementById("toasts").append(words.content.cloneNode(true));
    watch();
  };
  document.addEventListener("htmx:error", (event) => {
    if (event.detail.error?.name === "AbortError") return;
    if (event.target.matches?.("[data-stream]")) again(event.target);
    else trouble();
  });
  document.addEventListener("htmx:response:error", (event) => {
    const { status } = event.detail.ctx.response;
    if (event.target.matches?.("[data-stream]")) { if (status >= 500) again(event.target); else if (isGone(status)) gone(); }
    else if (status === 500) trouble();
  });
  document.addEventListener("htmx:before:sse:connection", (event) => {
    if (over) event.detail.connection.cancelled = true;
    else if (event.detail.connection.attempt > 0) lost();
  });
  document.addEventListener("htmx:after:sse:connection", back);
  document.addEventListener("htmx:before:sse:message", back);

  // htmx looks over the page a tick after its own script. On a slow line the stream's extension comes later than that,
  // and nothing would ever connect: then it looks again. Timers fire in the order in which they were set.
  let looked = false;
  document.addEventListener("htmx:after:process", () => { looked = true; }, { once: true });
  setTimeout(() => { if (!looked) window.htmx?.process(document.body); });

  // Nothing on a page is ever evaluated as code, whatever an attribute says.
  if (window.htmx) {
    const refuse = function () { throw new Error("Code in attributes is not run."); };
    // What a reader has opened stays open when its page is brought up to date.
    const open = (part, { attrName, newValue }) => !(part.matches("details") && attrName === "open" && newValue === null);
    window.htmx.registerExtension("hub", {
      init: (api) => api.initSecurity(null, refuse, refuse),
      htmx_before_morph_attr: open,
    });
  }

  // A confirmation that arrives in #dialog opens it; without JavaScript the same address is a page.
  document.addEventListener("htmx:after:swap", () => {
    const dialog = document.getElementById("dialog");
    if (dialog && dialog.querySelector(".confirm") && !dialog.open) {
      dialog.showModal();
      dialog.querySelector("[data-first]")?.focus();
    }
    watch();
  });
  document.addEventListener("click", (event) => {
    const close = event.target.closest("[data-close]");
    if (close && close.closest("dialog")) { event.preventDefault(); closeDialog(); }
    const opener = event.target.closest("[data-opens]");
    if (opener) {
      const row = document.getElementById(opener.dataset.opens);
      row.hidden = !row.hidden;
      opener.setAttribute("aria-expanded", String(!row.hidden));
    }
    if (event.target.closest(".btn-close-toast")) event.target.closest(".note").remove();
    if (event.target.id === "dialog") closeDialog();
  });
  // A way back that was taken leads nowhere a second time: the toast that offers it goes.
  document.addEventListener("htmx:after:request", (event) => {
    const { request, response } = event.detail.ctx;
    if (request.method !== "POST" || !(response?.status < 400)) return;
    const { pathname } = new URL(request.action, window.location.href);
    for (const form of document.querySelectorAll("#toasts form")) if (form.getAttribute("action") === pathname) form.closest(".note").remove();
  });
  document.addEventListener("htmx:after:request", (event) => {
    if (event.target.closest?.("#dialog") && event.detail.ctx.request.method === "POST") closeDialog();
  });
  const closeDialog = () => { const d = document.getElementById("dialog"); if (d) { d.close(); d.replaceChildren(); } };

  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, textarea, select, [contenteditable]")) return;
    const field = document.querySelector("input[type=search]");
    if (field) { event.preventDefault(); field.focus(); field.select(); }
  });

  // At most two toasts at a time: the oldest goes, good news before bad. Each goes away by itself, bad news later,
  // but not while it is pointed at. A log follows its end while it is asked to.
  const MOST_TOASTS = 2;
  const seen = new WeakSet();
  const watch = () => {
    const bad = (toast) => toast.classList.contains("note-red");
    const toasts = [...document.querySelectorAll("#toasts .note")];
    // What is told now takes the place of good news before it, which it may contradict; one with a way back stays.
    if (toasts.some((toast) => !seen.has(toast))) {
      for (const toast of toasts) if (seen.has(toast) && toast.matches(".note-green:not(:has(form))")) toast.remove();
    }
    const first = [...toasts].filter((toast) => toast.isConnected).sort((a, b) => bad(a) - bad(b));
    first.slice(0, Math.max(0, first.length - MOST_TOASTS)).forEach((toast) => toast.remove());
    for (const toast of toasts) {
      if (seen.has(toast)) continue;
      seen.add(toast);
      const leave = () => { if (toast.matches(":hover, :focus-within")) setTimeout(leave, 2000); else toast.remove(); };
      setTimeout(leave, bad(toast) ? 20000 : 8000);
    }
    for (const log of document.querySelectorAll(".log[data-follow]")) {
      const box = document.getElementById(log.dataset.follow);
      if (!box) continue;
      log.toggleAttribute("hx-morph-skip", !box.checked);
      if (box.checked) log.scrollTop = log.scrollHeight;
    }
  };
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-follows]")) watch();
    // Choosing all rows of a table's page at once.
    const name = event.target.dataset?.all;
    if (name) for (const box of event.target.form.elements) if (box.name === name && box.closest("tbody")) box.checked = event.target.checked;
  });

  // A row that moves keeps the focus on the button that moved it, and the row of one's own move stays in sight.
  let held = null;
  let moved = 0;
  document.addEventListener("click", (event) => { if (event.target.closest("[data-moves]")) moved = Date.now(); });
  document.addEventListener("htmx:before:sse:message", () => { held = document.activeElement?.id || null; });
  document.addEventListener("htmx:after:sse:message", () => {
    const here = held && document.getElementById(held);
    if (here && here !== document.activeElement) here.focus({ preventScroll: true });
    if (here?.matches("[data-moves]") && Date.now() - moved < 3000) here.scrollIntoView({ block: "nearest" });
  });

  // A download takes the filters as they are now, also those that were typed since the page was drawn.
  for (const kind of ["click", "auxclick", "contextmenu"]) document.addEventListener(kind, (event) => {
    const link = event.target.closest("a[data-export]");
    if (!link) return;
    const asked = new URLSearchParams(window.location.search);
    asked.delete("page");
    for (const [name, value] of new FormData(link.closest("form"))) if (value) asked.set(name, value); else asked.delete(name);
    asked.set("export", "csv");
    link.search = asked;
  });

  // What was typed into such a form becomes a part of its address, so that the way back leads to it.
  document.addEventListener("submit", (event) => {
    if (!event.target.matches("[data-remember]")) return;
    const typed = new FormData(event.target);
    for (const name of ["csrfmiddlewaretoken", "idempotency_key"]) typed.delete(name); // for this one sending only
    history.replaceState(history.state, "", `${event.target.action}?${new URLSearchParams(typed)}`);
  });
  window.addEventListener("pageshow", (event) => {
    if (event.persisted && document.querySelector("[data-remember]")) window.location.reload();
  });
  document.addEventListener("htmx:after:sse:message", watch);
  watch();
})();
