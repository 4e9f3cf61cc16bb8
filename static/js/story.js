// Brings the version that a lineage graph is about into view, where the graph is wider than the page.
(() => {
  "use strict";
  const here = document.querySelector(".story .is-here");
  const frame = here?.closest(".table-frame");
  if (!frame) return;
  const [box, around] = [here.getBoundingClientRect(), frame.getBoundingClientRect()];
  frame.scrollLeft += box.left + box.width / 2 - (around.left + around.width / 2);
})();
