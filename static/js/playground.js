// Trying a model: files can be dropped, sounds recorded, and texts shown as they are written. The form works without.
(() => {
  "use strict";
  const card = (element) => element?.closest("section.card");
  const form = (element) => card(element)?.querySelector("form[data-try]");

  const give = (files, input) => {
    const list = new DataTransfer();
    for (const file of files) list.items.add(file);
    input.files = list.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  };

  // Drop
  const target = (event) => {
    const input = form(event.target)?.querySelector("input[type=file]");
    return event.dataTransfer?.types.includes("Files") ? input : null;
  };
  document.addEventListener("dragover", (event) => {
    if (!target(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
  });
  document.addEventListener("drop", (event) => {
    const input = target(event);
    if (!input) return;
    event.preventDefault();
    give(event.dataTransfer.files, input);
    input.focus();
  });

  // Record
  let recorder = null;
  const record = async (panel) => {
    const said = panel.querySelector("[data-record-said]");
    const [start, stop] = [panel.querySelector("[data-record-start]"), panel.querySelector("[data-record-stop]")];
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    } catch {
      said.textContent = "The microphone can't be used. Allow it for this site, or choose a file.";
      return;
    }
    const pieces = [];
    recorder = new MediaRecorder(stream);
    recorder.addEventListener("dataavailable", (event) => pieces.push(event.data));
    recorder.addEventListener("stop", () => {
      for (const track of stream.getTracks()) track.stop();
      const kind = recorder.mimeType.split(";")[0] || "audio/webm";
      give([new File(pieces, `recording.${kind.split("/")[1]}`, { type: kind })], form(panel).querySelector("input[type=file]"));
      said.textContent = "Recorded. It is chosen as the file.";
      start.hidden = false;
      stop.hidden = true;
      start.focus();
    });
    recorder.start();
    said.textContent = "Recording …";
    start.hidden = true;
    stop.hidden = false;
    stop.focus();
  };
  document.addEventListener("click", (event) => {
    const panel = event.target.closest?.("[data-record]");
    if (panel && event.target.closest("[data-record-start]")) record(panel);
    if (panel && event.target.closest("[data-record-stop]")) recorder?.stop();
  });

  // Texts as they are written
  let leave = null;
  const events = async function* (body) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const parts = (rest + value).split("\n\n");
      rest = parts.pop();
      for (const part of parts) {
        const [name, data] = part.split("\n");
        yield [name.slice("event: ".length), JSON.parse(data.slice("data: ".length))];
      }
    }
  };
  const write = async (known) => {
    const [shown, answer] = [card(known).querySelector("[data-stream-text]"), card(known).querySelector("#prediction")];
    const [stop, button] = [known.querySelector("[data-stream-stop]"), known.querySelector("[data-testid=try-version]")];
    leave = new AbortController();
    shown.textContent = known.elements.prompt.value;
    shown.setAttribute("aria-busy", "true");
    answer.replaceChildren();
    shown.hidden = stop.hidden = false;
    button.disabled = true;
    try {
      const reply = await fetch(known.dataset.try, { method: "POST", body: new FormData(known), signal: leave.signal });
      if (!reply.headers.get("Content-Type")?.startsWith("text/event-stream")) {
        shown.hidden = true;
        answer.innerHTML = await reply.text();
        return;
      }
      for await (const [name, data] of events(reply.body)) {
        if (name === "piece") shown.append(data.piece);
        if (name === "problem") shown.append(`\n${data.detail} ${data.hint}`);
        if (name === "done") {
          shown.hidden = true;
          answer.innerHTML = data.html;
        }
      }
    } catch (error) {
      if (error.name !== "AbortError") shown.append("\nThe connection was lost. Ask again.");
    } finally {
      shown.setAttribute("aria-busy", "false");
      stop.hidden = true;
      button.disabled = false;
    }
  };
  document.addEventListener("submit", (event) => {
    if (!event.target.matches("form[data-streams]") || !window.TextDecoderStream) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    write(event.target);
  }, true);
  document.addEventListener("click", (event) => {
    if (event.target.closest?.("[data-stream-stop]")) leave?.abort();
  });
  addEventListener("pagehide", () => leave?.abort());

  const reveal = () => {
    for (const hint of document.querySelectorAll("[data-drop-hint]")) hint.hidden = false;
    if (navigator.mediaDevices && window.MediaRecorder) for (const panel of document.querySelectorAll("[data-record]")) panel.hidden = false;
  };
  reveal();
  document.addEventListener("htmx:after:swap", reveal);
})();
