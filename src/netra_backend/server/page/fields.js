// The fields of a form: each with its label, what it is for, and what is wrong in it.

import { isComposing, made, part, setText } from "./dom.js";

let count = 0; // Ids are of the whole page.

export class Fields {
  #fields;
  #nodes;

  /** `fields` are those of a form; one without a title is labelled `question`. */
  constructor(fields, question) {
    this.#fields = fields;
    this.#nodes = fields.map((field) => fieldNode(field, question));
  }

  get nodes() {
    return this.#nodes;
  }

  /** What is in the fields, in their order. */
  get texts() {
    return this.#nodes.map((node) => controlOf(node).value);
  }

  /** Show `problems`, by name, and go to the first. Return whether there is one of these fields. */
  tell(problems) {
    const wrong = this.#fields.map(({ name }) => problems.has(name));
    this.#nodes.forEach((node, at) => {
      setText(part(node, "wrong"), wrong[at] ? problems.get(this.#fields[at].name) : "");
      controlOf(node).setAttribute("aria-invalid", String(wrong[at]));
    });
    const first = wrong.indexOf(true);
    if (first >= 0) controlOf(this.#nodes[first]).focus();
    return first >= 0;
  }
}

function fieldNode(field, question) {
  const node = made("field");
  const control = controlFor(field);
  const id = `field-${++count}`;
  control.className = "reply";
  control.id = id;
  control.dir = "auto";
  node.dataset.name = field.name ?? "";
  node.dataset.kind = field.kind;
  const title = part(node, "title");
  title.htmlFor = id;
  setText(title, field.title);
  title.hidden = field.title === "";
  if (!field.title) control.setAttribute("aria-label", question);
  if (!field.required && field.title) title.append(made("optional"));
  control.setAttribute("aria-required", String(field.required));
  setText(part(node, "hint"), field.hint);
  part(node, "hint").id = `${id}-hint`;
  part(node, "wrong").id = `${id}-wrong`;
  control.setAttribute("aria-describedby", `${id}-hint ${id}-wrong`);
  title.after(control);
  return node;
}

function controlFor(field) {
  if (field.kind === "choice") return select(field);
  const isLong = field.kind === "json" || field.long;
  const control = document.createElement(isLong ? "textarea" : "input");
  if (isLong) control.rows = field.kind === "json" && field.name === null ? 6 : 2;
  else control.type = field.type ?? "text";
  if (field.kind === "number") control.inputMode = field.whole && !(field.minimum < 0) ? "numeric" : "text";
  control.spellcheck = field.kind === "text";
  control.autocomplete = "off";
  control.value = field.initial;
  if (field.long) control.addEventListener("keydown", sendOnEnter);
  return control;
}

/** As in the composer: Enter sends, with Shift it begins a line. */
function sendOnEnter(event) {
  if (event.key !== "Enter" || event.shiftKey || isComposing(event)) return;
  event.preventDefault();
  event.target.form.requestSubmit();
}

function select({ options, initial, required }) {
  const control = document.createElement("select");
  const none = new Option(required ? "Choose…" : "", "");
  control.append(none, ...options.map(({ label }, at) => new Option(label, String(at))));
  control.value = initial;
  return control;
}

function controlOf(node) {
  return node.querySelector(".reply");
}
