// How a run ended that did not end well.

import { made, part, setText } from "./dom.js";
import { ENDS } from "./errors.js";

export function ending() {
  const node = made("ending");
  return {
    node,
    update({ status, code, message }) {
      node.dataset.status = status;
      node.dataset.code = code ?? "";
      setText(part(node, "title"), ENDS[status].title);
      // What failed is known to the agent and the server only; the other ends we can explain.
      setText(part(node, "text"), (status === "failed" && message) || ENDS[status].text);
    },
  };
}
