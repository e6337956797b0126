// What a person said: plain text, with its delivery while the log does not have it yet, or who said it.

import { made, part, setText } from "./dom.js";

const WAITS = {
  queued: "Waits until the agent is done.",
  "called-off": "Cancelled before its turn.",
};

/** `otherName(by)` is who has said it, unless that is whose page it is: then null. */
export function said(item, { onResend, onTakeBack, onCallOff, otherName }) {
  const node = made("said");
  part(node, "resend").addEventListener("click", () => onResend(item.id));
  part(node, "take-back").addEventListener("click", () => onTakeBack(item.id));
  part(node, "call-off").addEventListener("click", () => onCallOff(item.id));
  return {
    node,
    update({ text, by, delivery, problem }) {
      const other = delivery === "sent" ? otherName(by) : null;
      node.toggleAttribute("data-other", other !== null);
      node.setAttribute("aria-label", other ?? "You");
      setText(part(node, "by"), other ?? "");
      node.dataset.delivery = delivery;
      setText(part(node, "text"), text);
      part(node, "undelivered").hidden = delivery !== "failed";
      part(node, "queued").hidden = !(delivery in WAITS);
      setText(part(node, "waits"), WAITS[delivery] ?? "");
      part(node, "call-off").hidden = delivery !== "queued";
      setText(part(node, "problem"), problem?.text ?? "");
      part(node, "resend").hidden = problem?.retry === false;
    },
  };
}
