// How a run ended that did not end well, with the way on while nothing came after it.

import { made, part, setText } from "./dom.js";
import { ENDS } from "./errors.js";

export function ending(_, { onAskAgain }) {
  const node = made("ending");
  part(node, "again").addEventListener("click", onAskAgain);
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
