// Many small files as one tar archive, made of the files as they lie on the disk: nothing is read before it is sent.
(() => {
  "use strict";
  const BLOCK = 512;
  const LONGEST = 480, DEEPEST = 30; // what the hub takes inside an archive, with a margin
  const encode = (text) => new TextEncoder().encode(text);

  const header = (name, size, modified, kind) => {
    const block = new Uint8Array(BLOCK);
    const put = (offset, text) => block.set(encode(text), offset);
    block.set(encode(name).subarray(0, 100), 0);
    put(100, "0000644\0" + "0000000\0" + "0000000\0");
    put(124, size.toString(8).padStart(11, "0") + "\0");
    put(136, Math.max(0, Math.floor(modified / 1000)).toString(8).padStart(11, "0") + "\0");
    put(148, "        " + kind);
    put(257, "ustar\x0000");
    put(148, block.reduce((sum, byte) => sum + byte, 0).toString(8).padStart(6, "0") + "\0 ");
    return block;
  };
  const padding = (size) => new Uint8Array((BLOCK - (size % BLOCK)) % BLOCK);

  // A path that nothing in an archive may have would have the whole archive refused.
  const tame = (path, seen) => {
    let parts = path.replace(/\\/g, "_").replace(/^([A-Za-z]):/, "$1_").split("/").filter((part) => part && part !== "." && part !== "..");
    parts = parts.slice(-DEEPEST);
    const name = parts.join("/").slice(-LONGEST).replace(/^\/+/, "") || "unnamed";
    let unique = name;
    for (let number = 2; seen.has(unique); number += 1) unique = name.replace(/(\.[^./]*)?$/, ` (${number})$1`);
    seen.add(unique);
    return unique;
  };

  // [[file, path], …] → one Blob. The same files in the same order give the same bytes, so sending can go on later.
  window.hubTar = (files) => {
    const seen = new Set();
    const parts = [];
    for (const [file, path] of files) {
      const name = tame(path, seen);
      const long = encode(name);
      if (long.length > 100) {
        parts.push(header("././@LongLink", long.length + 1, 0, "L"), long, new Uint8Array(1), padding(long.length + 1));
      }
      parts.push(header(name, file.size, file.lastModified, "0"), file, padding(file.size));
    }
    parts.push(new Uint8Array(2 * BLOCK));
    return new Blob(parts);
  };
})();
