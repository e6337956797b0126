// An AG-UI activity: structured content of a kind that this page has no view for, folded.

import { made, part, setText } from "./dom.js";

export function activity() {
  const node = made("note");
  return {
    node,
    update(item) {
      setText(part(node, "label"), `Activity: ${item.name}`);
      setText(part(node, "text"), JSON.stringify(item.content, null, 2) ?? "");
    },
  };
}
