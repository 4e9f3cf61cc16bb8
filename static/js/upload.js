// Sends files, folders and archives with their relative paths, and shows how much has been sent.
// A few small files go as the plain form does; what is larger goes in pieces (pieces.js), small files packed (tar.js).
(() => {
  "use strict";
  const form = document.querySelector("[data-upload]");
  if (!form) return;
  const PLAIN = 16 * 1048576; // bytes that one plain request may hold
  const PLAIN_FILES = 2000;
  const LARGE = 4 * 1048576;
  const PACKED_FILES = 20000, PACKED_BYTES = 4 * 1073741824;
  const PACKED = /\.(zip|tar|tgz|gz|bz2|xz|7z|rar|zst|xlsx|xlsm|xls|ods|parquet)$/i; // not into another archive
  const area = form.querySelector(".drop");
  const bar = document.getElementById("upload-progress");
  const words = document.getElementById("upload-status");
  const figures = document.getElementById("upload-figures");
  const controls = document.getElementById("upload-controls");
  const [pause, cancel] = controls.querySelectorAll("button");
  const token = form.querySelector("[name=csrfmiddlewaretoken]").value;
  let sending = null;

  const size = (n) => {
    for (const unit of ["KiB", "MiB", "GiB"]) { n /= 1024; if (n < 1024) return `${n < 10 ? n.toFixed(1) : Math.round(n)} ${unit}`; }
    return `${(n / 1024).toFixed(1)} TiB`;
  };
  const lasting = (seconds) => {
    if (seconds < 60) return `${Math.max(1, Math.ceil(seconds))} s`;
    return seconds < 3600 ? `${Math.ceil(seconds / 60)} min` : `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
  };
  const say = (text) => { if (words.textContent !== text) words.textContent = text; };

  // The rate of the last ten seconds, since connections change.
  const meter = (count) => {
    let points = [], shown = 0;
    return {
      fresh: () => { points = []; },
      show: (done, total) => {
        const now = performance.now() / 1000;
        bar.max = total || 1;
        bar.value = total ? done : 1;
        points.push([now, done]);
        while (points.length > 2 && now - points[0][0] > 10) points.shift();
        if (now - shown < 0.5 && done < total) return;
        shown = now;
        const [since, from] = points[0];
        const rate = now > since ? (done - from) / (now - since) : 0;
        const left = rate > 0 && now - since > 1 ? `, ${size(rate)}/s, about ${lasting((total - done) / rate)} left` : "";
        figures.textContent = `${count}: ${size(done)} of ${size(total)}${left}`;
      },
    };
  };

  const begin = () => { bar.hidden = false; bar.value = 0; figures.hidden = false; };
  const end = (text) => {
    sending = null;
    for (const part of [bar, figures, controls]) part.hidden = true;
    for (const input of form.querySelectorAll("input[type=file]")) { input.disabled = false; input.value = ""; } // the same files can be chosen again
    say(text);
  };

  const options = () => Object.fromEntries([...form.elements]
    .filter((field) => field.name.startsWith("option.") && field.value)
    .map((field) => [field.name.slice("option.".length), field.value]));

  const plainly = (files, count) => {
    const data = new FormData();
    for (const [file, path] of files) data.append("files", file, path); // the folder in the path is the class
    for (const [name, value] of Object.entries(options())) data.append(`option.${name}`, value);
    const request = new XMLHttpRequest();
    const { show } = meter(count);
    request.open("POST", form.action);
    request.setRequestHeader("X-CSRFToken", token);
    request.setRequestHeader("HX-Request", "true");
    begin();
    say(`Sending ${count}.`);
    request.upload.addEventListener("progress", (event) => {
      show(event.loaded, event.total);
      if (event.loaded === event.total) say("Sent. The hub takes them in …");
    });
    request.addEventListener("load", () => {
      end(request.status < 400 ? "" : "The hub refused the files.");
      window.htmx.swap({ text: request.responseText, target: area, swap: "none", sourceElement: form, request: {} });
    });
    request.addEventListener("error", () => end("The connection broke off. Try again."));
    request.send(data);
  };

  const print = (files) => { // the same files again are told by their names, sizes and dates
    let hash = 2166136261;
    for (const [file, path] of files) {
      for (const letter of `${path}\n${file.size}\n${file.lastModified}\n`) hash = Math.imul(hash ^ letter.codePointAt(0), 16777619) >>> 0;
    }
    return `${files.length}:${hash.toString(16)}`;
  };

  const partsOf = (files) => {
    const parts = [];
    let small = [], bytes = 0;
    const pack = () => {
      if (small.length) parts.push({ name: `files-${parts.length + 1}.tar`, blob: window.hubTar(small), key: `${form.dataset.upload}:tar:${print(small)}` });
      small = []; bytes = 0;
    };
    for (const [file, path] of files) {
      if (file.size > LARGE || PACKED.test(path)) {
        parts.push({ name: path, blob: file, key: `${form.dataset.upload}:${path}:${file.size}:${file.lastModified}` });
        continue;
      }
      small.push([file, path]); bytes += file.size;
      if (small.length === PACKED_FILES || bytes > PACKED_BYTES) pack();
    }
    pack();
    return parts;
  };

  const inPieces = async (files, count) => {
    const { show, fresh } = meter(count);
    let waiting = false;
    const tell = {
      progress: show,
      waits: (seconds) => { waiting = true; fresh(); say(`The connection is lost. Trying again in ${seconds} s; nothing that was sent is lost.`); },
      goes: () => { if (waiting) { waiting = false; say(`Sending ${count} goes on.`); } },
    };
    begin();
    controls.hidden = false;
    pause.textContent = "Pause";
    say(`Sending ${count}. If the page is closed, choose the same files again to go on.`);
    sending = window.hubPieces(form.dataset.pieces, token, partsOf(files), tell);
    const mine = sending;
    try {
      await mine.run(options());
      end(`Sent. The import of ${count} goes on in the background; watch it here.`);
    } catch (error) {
      if (error instanceof mine.Stopped) end("Cancelled. What was sent is removed.");
      else if (error instanceof mine.Refused) end(error.message);
      else { end("That did not work. Choose the files again; sending goes on where it stopped."); throw error; }
    }
  };

  const send = (files) => {
    if (sending) { say("Wait until the files before are sent, or cancel them."); return; }
    if (!files.length) { say("There was no file in it."); return; }
    const count = `${files.length.toLocaleString()} file${files.length === 1 ? "" : "s"}`;
    const total = files.reduce((sum, [file]) => sum + file.size, 0);
    for (const input of form.querySelectorAll("input[type=file]")) input.disabled = true;
    if (total <= PLAIN && files.length <= PLAIN_FILES) plainly(files, count);
    else inPieces(files, count);
  };

  pause.addEventListener("click", () => {
    const going = pause.textContent === "Pause";
    pause.textContent = going ? "Go on" : "Pause";
    if (going) { sending?.pause(); say("Paused."); } else { sending?.resume(); say("Sending goes on."); }
  });
  cancel.addEventListener("click", () => sending?.cancel());

  // A dropped folder is read entry by entry; browsers hand out at most 100 at a time.
  const read = async (entry, found) => {
    if (entry.isFile) {
      const file = await new Promise((ok, no) => entry.file(ok, no));
      found.push([file, entry.fullPath.replace(/^\//, "")]);
      return;
    }
    const reader = entry.createReader();
    for (;;) {
      const entries = await new Promise((ok, no) => reader.readEntries(ok, no));
      if (!entries.length) return;
      for (const inner of entries) await read(inner, found);
    }
  };

  form.addEventListener("submit", (event) => { event.preventDefault(); chosen(); });
  const chosen = () => send([...form.querySelectorAll("input[type=file]")].flatMap((input) =>
    [...input.files].map((file) => [file, file.webkitRelativePath || file.name])));
  for (const input of form.querySelectorAll("input[type=file]")) input.addEventListener("change", () => { if (input.files.length) chosen(); });

  for (const kind of ["dragenter", "dragover"]) area.addEventListener(kind, (event) => { event.preventDefault(); area.classList.add("is-over"); });
  for (const kind of ["dragleave", "drop"]) area.addEventListener(kind, () => area.classList.remove("is-over"));
  area.addEventListener("drop", async (event) => {
    event.preventDefault();
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    const found = [];
    say("Reading the folder …");
    try {
      for (const entry of entries) await read(entry, found);
    } catch (error) {
      say(`The folder could not be read (${error.message || error.name}). Choose it by the button instead.`);
      return;
    }
    send(found);
  });
})();
