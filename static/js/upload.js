// Sends files, folders and archives with their relative paths, and shows how much has been sent.
(() => {
  "use strict";
  const form = document.querySelector("[data-upload]");
  if (!form) return;
  const area = form.querySelector(".drop");
  const bar = document.getElementById("upload-progress");
  const words = document.getElementById("upload-status");
  const size = (n) => (n < 1048576 ? `${Math.ceil(n / 1024)} KiB` : `${(n / 1048576).toFixed(1)} MiB`);

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

  const send = (files) => {
    if (!files.length) { words.textContent = "There was no file in it."; return; }
    const data = new FormData();
    for (const [file, path] of files) data.append("files", file, path); // the folder in the path is the class
    const request = new XMLHttpRequest();
    request.open("POST", form.action);
    request.setRequestHeader("X-CSRFToken", form.querySelector("[name=csrfmiddlewaretoken]").value);
    request.setRequestHeader("HX-Request", "true");
    bar.hidden = false;
    bar.value = 0;
    request.upload.addEventListener("progress", (event) => {
      bar.max = event.total;
      bar.value = event.loaded;
      words.textContent = event.loaded < event.total
        ? `Sending ${files.length.toLocaleString()} files: ${size(event.loaded)} of ${size(event.total)}` : "Sent. The hub takes them in …";
    });
    request.addEventListener("load", () => {
      bar.hidden = true;
      words.textContent = request.status < 400 ? "" : "The hub refused the files.";
      form.reset();
      window.htmx.swap({ text: request.responseText, target: area, swap: "none", sourceElement: form, request: {} });
    });
    request.addEventListener("error", () => { bar.hidden = true; words.textContent = "The connection broke off. Try again."; });
    request.send(data);
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
    words.textContent = "Reading the folder …";
    for (const entry of entries) await read(entry, found);
    send(found);
  });
})();
