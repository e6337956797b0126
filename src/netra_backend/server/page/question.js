// A question of the agent: an approval, or a form for what its schema asks, and then the answer.

import { made, part, setText } from "./dom.js";
import { shortened } from "./pretty.js";
import { formOf, labelOf, payloadOf, verdictOf } from "./reply.js";

const VERDICTS = {
  approved: "Approved",
  rejected: "Rejected",
  answered: "Answered",
  declined: "Declined",
};

/** `onDecide(interrupt, payload, status)` resolves to whether it is decided. */
export function question({ interrupt }, { onDecide, userName }) {
  const node = made("question");
  const form = formOf(interrupt.responseSchema);
  const field = fieldFor(form);
  node.dataset.interrupt = interrupt.id;
  node.dataset.form = form.kind;
  setText(part(node, "text"), interrupt.message || `The agent asks: ${interrupt.reason}`);
  part(node, "approval").hidden = form.kind !== "approval";
  part(node, "form").hidden = form.kind === "approval";
  field?.setAttribute("aria-label", part(node, "text").textContent);
  if (field) part(node, "field").prepend(field);

  async function decide(payload, status = "resolved") {
    busy(true);
    if (!(await onDecide(interrupt.id, payload, status))) busy(false);
  }
  function busy(on) {
    node.toggleAttribute("data-busy", on);
    for (const control of node.querySelectorAll("button, textarea, select, input")) {
      control.disabled = on;
    }
  }
  function submit(event) {
    event.preventDefault();
    const { payload, problem } = payloadOf(form, field.value);
    setText(part(node, "problem"), problem ?? "");
    if (!problem) decide(payload);
  }
  part(node, "approve").addEventListener("click", () => decide({ approved: true }));
  part(node, "reject").addEventListener("click", () => decide({ approved: false }));
  part(node, "decline").addEventListener("click", () => decide(null, "cancelled"));
  part(node, "form").addEventListener("submit", submit);

  return {
    node,
    update({ answer }) {
      if (!answer) return;
      const verdict = verdictOf(answer);
      node.dataset.verdict = verdict;
      part(node, "open").hidden = true;
      part(node, "closed").hidden = false;
      setText(part(node, "verdict"), told(verdict, answer, userName()));
    },
  };
}

/**
 * Return what was decided, by whom where that is known, and that somebody was faster, when that is
 * so. The log has answers without names.
 */
function told(verdict, { payload, by, won }, user) {
  const who = by ? ` by ${by === user ? "you" : by}` : "";
  const late = won === false ? " before your answer came" : "";
  const said = verdict === "answered" ? `: ${shortened(labelOf(payload))}` : ".";
  return `${VERDICTS[verdict]}${who}${late}${said}`;
}

function fieldFor(form) {
  if (form.kind === "approval") return null;
  const field = document.createElement(form.kind === "choice" ? "select" : "textarea");
  if (form.kind === "choice") {
    field.append(...form.options.map((option, at) => new Option(labelOf(option), String(at))));
  } else {
    field.rows = form.kind === "json" ? 6 : 2;
    field.value = form.example ?? "";
    field.spellcheck = form.kind === "text";
  }
  field.className = "reply";
  field.dir = "auto";
  return field;
}
