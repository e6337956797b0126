// A tool call: folded; a line says what is called with what, and how that stands.

import { made, part, setText } from "./dom.js";
import { pretty, preview } from "./pretty.js";

const LONGEST = 20_000; // Characters shown of arguments or a result before the person asks for all.
const LABELS = {
  calling: "calling",
  running: "running",
  waiting: "waiting for you",
  done: "done",
  failed: "failed",
  unanswered: "no result",
};

export function toolcall() {
  const node = made("toolcall");
  const result = part(node, "result");
  return {
    node,
    update(item) {
      node.dataset.status = item.status;
      node.dataset.tool = item.name;
      node.setAttribute("aria-label", `Tool call ${item.name}`);
      setText(part(node, "name"), item.name);
      setText(part(node, "preview"), preview(item.args));
      setText(part(node, "status"), LABELS[item.status]);
      fill(part(node, "args"), pretty(item.args) || "none");
      part(node, "result-part").hidden = item.result === null;
      if (item.result !== null) fill(result, pretty(item.result) || "empty");
    },
  };
}

/** Show `text` in `pre`, and no more of a very long one than is useful until it is asked for. */
function fill(pre, text) {
  const all = pre.nextElementSibling;
  const long = text.length > LONGEST && pre.dataset.all === undefined;
  setText(pre, long ? text.slice(0, LONGEST) : text);
  all.hidden = !long;
  all.onclick = () => {
    pre.dataset.all = "";
    fill(pre, text);
    pre.focus({ preventScroll: true }); // The button is gone.
  };
}
