// A question of the agent: an approval, or a form for what its schema asks, and then the answer.

import { made, part, setText } from "./dom.js";
import { Fields } from "./fields.js";
import { fieldAt, formOf, labelOf } from "./form.js";
import { preview, shortened } from "./pretty.js";
import { payloadOf, verdictOf } from "./reply.js";

const VERDICTS = {
  approved: "Approved",
  rejected: "Rejected",
  answered: "Answered",
  declined: "Declined",
};
const BUTTONS = {
  approval: { approve: ["Approve", { approved: true }], reject: ["Reject", { approved: false }] },
  yesno: { approve: ["Yes", true], reject: ["No", false] },
};

/**
 * `onDecide(interrupt, payload, status)` resolves to true when it is decided, to a Refusal if the
 * answer is not what was asked for, else to false.
 */
export function question({ interrupt }, { onDecide, userName }) {
  const node = made("question");
  const form = formOf(interrupt);
  const buttons = BUTTONS[form.kind];
  const text = interrupt.message || `The agent asks: ${interrupt.reason}`;
  const fields = new Fields(form.fields, text);
  node.dataset.interrupt = interrupt.id;
  node.dataset.form = form.kind === "value" ? form.fields[0].kind : form.kind;
  setText(part(node, "text"), text);
  part(node, "approval").hidden = !buttons;
  part(node, "form").hidden = Boolean(buttons);
  part(node, "fields").append(...fields.nodes);

  async function decide(payload, status = "resolved") {
    busy(true);
    setText(part(node, "problem"), "");
    const decided = await onDecide(interrupt.id, payload, status);
    if (decided === true) return;
    busy(false);
    if (decided) refused(decided);
  }
  function refused(refusal) {
    const name = fieldAt(form, refusal.where);
    const only = form.kind === "value" ? null : undefined;
    if (!fields.tell(new Map([[name ?? only, refusal.text]]))) setText(part(node, "problem"), refusal.text);
  }
  function busy(on) {
    node.toggleAttribute("data-busy", on);
    for (const control of node.querySelectorAll("button, textarea, select, input")) {
      control.disabled = on;
    }
  }
  function submit(event) {
    event.preventDefault();
    const { payload, problems } = payloadOf(form, fields.texts);
    fields.tell(problems ?? new Map());
    if (!problems) decide(payload);
  }
  for (const [name, [label, payload]] of Object.entries(buttons ?? {})) {
    setText(part(node, name), label);
    part(node, name).addEventListener("click", () => decide(payload));
  }
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
  const said = verdict === "answered" ? `: ${summary(payload)}` : ".";
  return `${VERDICTS[verdict]}${who}${late}${said}`;
}

function summary(payload) {
  const isObject = payload !== null && typeof payload === "object";
  return isObject ? preview(JSON.stringify(payload)) : shortened(labelOf(payload));
}
