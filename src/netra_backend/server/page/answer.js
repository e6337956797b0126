// An answer of the agent: markdown that grows, and can be copied as it was written once it is whole.

import { copy, made, part } from "./dom.js";
import { MarkdownText } from "./markdown.js";

export function answer() {
  const node = made("answer");
  const body = part(node, "body");
  const button = part(node, "copy");
  const text = new MarkdownText(body);
  let source = "";
  button.addEventListener("click", () => copy(source, button));
  return {
    node,
    update(item) {
      source = item.text;
      node.hidden = source.trim() === "";
      node.toggleAttribute("data-open", item.open);
      button.hidden = item.open;
      text.show(source);
      for (const pre of body.querySelectorAll(".block > pre")) addCopyButton(pre);
    },
  };
}

/** Put a copy button beside a code block that is drawn. */
function addCopyButton(pre) {
  const frame = document.createElement("div");
  frame.className = "code";
  pre.replaceWith(frame);
  const button = made("copy-code");
  button.addEventListener("click", () => copy(pre.textContent, button));
  frame.append(pre, button);
}
