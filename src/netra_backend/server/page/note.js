// A system or developer message: folded, for those who want to know.

import { growText, made, part, setText } from "./dom.js";

export function note() {
  const node = made("note");
  return {
    node,
    update(item) {
      setText(part(node, "label"), item.role === "developer" ? "Developer note" : "System note");
      growText(part(node, "text"), item.text);
    },
  };
}
