// The dialogs: each asks one thing and resolves to the answer, or to null when it is dismissed.

import { part, setText } from "./dom.js";

/** Ask for a token. */
export function askToken(dialog, reason) {
  setText(part(dialog, "reason"), reason);
  const field = part(dialog, "token");
  field.value = "";
  part(dialog, "reload").onclick = () => location.reload();
  return asked(dialog, () => field.value.trim() || null, field);
}

/** Ask for a new title, beginning with `title`. */
export function askTitle(dialog, title) {
  const field = part(dialog, "title");
  field.value = title;
  const answer = asked(dialog, () => field.value.trim() || null, field);
  field.select();
  return answer;
}

/** Ask whether the thread called `title` is to be deleted: true, or null. */
export function askDelete(dialog, title) {
  setText(part(dialog, "name"), title);
  return asked(dialog, () => true, part(dialog, "cancel"));
}

/** Show `dialog` until it is submitted (then `read()` is the answer) or closed (then null). */
function asked(dialog, read, focus) {
  const form = dialog.querySelector("form");
  if (dialog.open) return Promise.resolve(null);
  return new Promise((resolve) => {
    let answer = null;
    form.onsubmit = (event) => {
      event.preventDefault();
      answer = read();
      if (answer !== null) dialog.close();
    };
    part(dialog, "cancel").onclick = () => dialog.close();
    dialog.onclose = () => resolve(answer);
    dialog.showModal();
    focus.focus();
  });
}
