// What the person said: plain text, with its delivery while the log does not have it yet.

import { made, part, setText } from "./dom.js";

export function said(item, { onResend, onTakeBack }) {
  const node = made("said");
  part(node, "resend").addEventListener("click", () => onResend(item.id));
  part(node, "take-back").addEventListener("click", () => onTakeBack(item.id));
  return {
    node,
    update({ text, delivery, problem }) {
      node.dataset.delivery = delivery;
      setText(part(node, "text"), text);
      part(node, "undelivered").hidden = delivery !== "failed";
      part(node, "queued").hidden = delivery !== "queued";
      setText(part(node, "problem"), problem?.text ?? "");
      part(node, "resend").hidden = problem?.retry === false;
    },
  };
}
