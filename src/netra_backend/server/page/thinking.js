// What the agent thinks: folded, open while it thinks unless the person decides otherwise.

import { growText, made, part, setText } from "./dom.js";

export function thinking() {
  const node = made("thinking");
  let touched = false;
  part(node, "summary").addEventListener("click", () => (touched = true));
  return {
    node,
    update(item) {
      node.hidden = item.text.trim() === "" && !item.open;
      node.toggleAttribute("data-active", item.open);
      if (!touched) node.open = item.open;
      const label = item.open ? "Thinking…" : "Thought";
      setText(part(node, "label"), label);
      node.setAttribute("aria-label", label);
      growText(part(node, "text"), item.text);
    },
  };
}
