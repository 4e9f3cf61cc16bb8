// Sends large files piece by piece: a lost connection costs no more than a piece, and a reloaded page goes on.
(() => {
  "use strict";
  const PIECE = 4 * 1048576;
  const WAITS = [1, 2, 4, 8, 15, 30]; // seconds before it is tried again
  const TRIES = 8; // at the same place
  const MEMORY = "trainhub-upload:";

  class Refused extends Error {} // the hub said why; trying again would not help
  class Stopped extends Error {}

  // What was begun is known after a reload: the file must be chosen again, and is told by name, size and date.
  const memory = {
    get: (key) => { try { return localStorage.getItem(MEMORY + key); } catch { return null; } },
    set: (key, id) => { try { localStorage.setItem(MEMORY + key, id); } catch { /* a private window: no resuming */ } },
    drop: (key) => { try { localStorage.removeItem(MEMORY + key); } catch { /* as above */ } },
  };

  // parts: [{name, blob, key}]; tell: {progress(done), waits(seconds), goes()}. Resolves to the waiting import.
  window.hubPieces = (base, token, parts, tell) => {
    let current = null, paused = false, stopped = false, wake = null;
    const ids = [];
    const begun = [];
    const total = parts.reduce((sum, part) => sum + part.blob.size, 0);

    const ask = (method, url, body, headers = {}, watch = null) => new Promise((ok, no) => {
      if (stopped && method !== "DELETE") { no(new Stopped()); return; }
      const request = current = new XMLHttpRequest();
      request.open(method, url);
      request.setRequestHeader("X-CSRFToken", token);
      for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
      if (watch) request.upload.addEventListener("progress", (event) => watch(event.loaded));
      request.addEventListener("load", () => ok(request));
      for (const kind of ["error", "abort", "timeout"]) request.addEventListener(kind, () => no(new Error(kind)));
      request.send(body);
    });
    const json = (method, url, value) => ask(method, url, JSON.stringify(value), { "Content-Type": "application/json" });

    const refusal = (request) => {
      let said = {};
      try { said = JSON.parse(request.responseText); } catch { /* not of the hub itself */ }
      if (request.status === 401 || request.status === 403) {
        return "You are signed out. Sign in again, then choose the same files: sending goes on where it stopped.";
      }
      return [said.detail || `The hub refused the files (${request.status}).`, said.hint].filter(Boolean).join(" ");
    };
    const passing = (status) => status >= 500 || status === 429;

    const sleep = (seconds) => new Promise((ok) => {
      const timer = setTimeout(ok, 1000 * seconds);
      wake = () => { clearTimeout(timer); ok(); };
    });
    window.addEventListener("online", () => wake?.());

    const pauseFor = (seconds) => { tell.waits(seconds); return sleep(seconds); };

    // Once more and once more, until it works or the hub says no.
    const surely = async (attempt) => {
      for (let failures = 0; ; ) {
        while (paused && !stopped) await sleep(3600);
        if (stopped) throw new Stopped();
        try {
          const request = await attempt();
          if (!passing(request.status)) { tell.goes(); return request; }
          if (request.status === 503 && /disk/i.test(request.responseText)) throw new Refused(refusal(request));
        } catch (error) {
          if (error instanceof Refused || error instanceof Stopped) throw error;
          if (paused || stopped) continue;
        }
        await pauseFor(WAITS[Math.min(failures, WAITS.length - 1)]);
        failures += 1;
      }
    };

    // Where the hub stands with an upload; null when it knows none of this size.
    const standing = async (id, size) => {
      const request = await surely(() => ask("HEAD", `${base}/${id}`));
      if (request.status !== 200 || Number(request.getResponseHeader("Upload-Length")) !== size) return null;
      return Number(request.getResponseHeader("Upload-Offset"));
    };

    // One piece. An answer with status 0 stands for a connection that broke.
    const patch = async (url, name, piece, start, watch) => {
      await piece.slice(0, 1).arrayBuffer().catch(() => { throw new Refused(`'${name}' can't be read any more: it was changed or moved. Choose the files again.`); });
      const headers = { "Content-Type": "application/offset+octet-stream", "Upload-Offset": String(start) };
      return ask("PATCH", url, piece, headers, watch).catch((error) => {
        if (stopped || paused) throw error;
        return { status: 0 };
      });
    };

    const send = async (part, before) => {
      let id = memory.get(part.key);
      let offset = id ? await standing(id, part.blob.size) : null;
      if (offset === null) {
        const request = await surely(() => json("POST", base, { name: part.name, bytes: part.blob.size }));
        if (request.status !== 201) throw new Refused(refusal(request));
        id = JSON.parse(request.responseText).id;
        offset = 0;
        memory.set(part.key, id);
      }
      begun.push([id, part.key]);
      for (let lost = 0; offset < part.blob.size; ) {
        const start = offset;
        const piece = part.blob.slice(start, start + PIECE);
        const watch = (sent) => tell.progress(before + start + Math.min(sent, piece.size), total);
        const request = await surely(() => patch(`${base}/${id}`, part.name, piece, start, watch));
        if (request.status === 204) offset = Number(request.getResponseHeader("Upload-Offset"));
        else if (request.status === 0 || request.status === 409) { // cut off: how much of it came through?
          if (lost > 0) await pauseFor(WAITS[Math.min(lost, WAITS.length) - 1]);
          offset = await standing(id, part.blob.size);
          if (offset === null) throw new Refused("The hub has forgotten this upload. Choose the files again.");
        } else throw new Refused(refusal(request));
        lost = offset > start ? 0 : lost + 1;
        if (lost > TRIES) throw new Refused("The connection breaks off at the same place each time. Something between you and the hub may limit what can be sent.");
        tell.progress(before + offset, total);
      }
      ids.push(id);
    };

    const run = async (options) => {
      let before = 0;
      for (const part of parts) {
        await send(part, before);
        before += part.blob.size;
      }
      const request = await surely(() => json("POST", `${base}/finish`, { ids, options }));
      if (request.status !== 202) throw new Refused(refusal(request));
      for (const part of parts) memory.drop(part.key);
      return JSON.parse(request.responseText);
    };

    return {
      run, total, Refused, Stopped,
      pause: () => { paused = true; current?.abort(); },
      resume: () => { paused = false; wake?.(); },
      cancel: async () => {
        stopped = true;
        current?.abort();
        wake?.();
        for (const [id, key] of begun) { memory.drop(key); await ask("DELETE", `${base}/${id}`).catch(() => {}); }
      },
    };
  };
})();
