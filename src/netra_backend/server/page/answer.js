// An answer of the agent: markdown that grows.

import { copy, made, part } from "./dom.js";
import { MarkdownText } from "./markdown.js";

export function answer() {
  const node = made("answer");
  const body = part(node, "body");
  const text = new MarkdownText(body);
  return {
    node,
    update(item) {
      node.hidden = item.text.trim() === "";
      node.toggleAttribute("data-open", item.open);
      text.show(item.text);
      for (const pre of body.querySelectorAll(".block > pre")) addCopyButton(pre);
    },
  };
}

/** Put a copy button beside a code block that is drawn. */
function addCopyButton(pre) {
  if (!window.isSecureContext) return; // Browsers allow no copying there.
  const frame = document.createElement("div");
  frame.className = "code";
  pre.replaceWith(frame);
  const button = made("copy-code");
  button.addEventListener("click", () => copy(pre.textContent, button));
  frame.append(pre, button);
}
