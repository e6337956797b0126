// A system or developer message: folded, for those who want to know.

import { growText, made, part, setText } from "./dom.js";

export function note() {
  const node = made("note");
  return {
    node,
    update(item) {
      const label = item.role === "developer" ? "Developer note" : "System note";
      setText(part(node, "label"), label);
      node.setAttribute("aria-label", label);
      growText(part(node, "text"), item.text);
    },
  };
}
