// Nodes: made from the <template> elements of index.html, never from strings.

/** Return a new node like the content of the template called `name`. */
export function made(name) {
  return document.getElementById(`template-${name}`).content.firstElementChild.cloneNode(true);
}

/** Return the node that is called `name` (data-part) inside `node`. */
export function part(node, name) {
  return node.querySelector(`[data-part="${name}"]`);
}

/** Set the text of `node` only if it differs, so that a selection in it survives. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Let `text` grow in `node`: what is there already is not touched. */
export function growText(node, text) {
  const shown = node.firstChild?.data ?? "";
  if (text.startsWith(shown) && node.childNodes.length === 1) {
    node.firstChild.appendData(text.slice(shown.length));
  } else {
    node.textContent = text;
  }
}

/**
 * Whether a key belongs to an input method (Japanese, Chinese, …), where Enter chooses a word and Escape
 * drops it. Safari says so of the key that ends a composition by its old number only.
 */
export function isComposing(event) {
  return event.isComposing || event.keyCode === 229;
}

/** Copy `text`, and say so on `button` for a moment. */
export async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // A page without TLS has no clipboard, and one may be denied it.
    if (!copySelected(text, button)) return; // The text can still be selected by hand.
  }
  button.dataset.copied = "";
  button.addEventListener("pointerleave", () => delete button.dataset.copied, { once: true });
  button.addEventListener("blur", () => delete button.dataset.copied, { once: true });
}

/** Copy `text` as a person would who selects it, and give the focus back to `button`. */
function copySelected(text, button) {
  const field = document.createElement("textarea");
  field.className = "unseen";
  field.value = text;
  document.body.append(field);
  field.select();
  const copied = document.execCommand("copy");
  field.remove();
  button.focus();
  return copied;
}
