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

/** Copy `text`, and say so on `button` for a moment. */
export async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    return; // The browser does not allow it here; the text can still be selected.
  }
  button.dataset.copied = "";
  button.addEventListener("pointerleave", () => delete button.dataset.copied, { once: true });
  button.addEventListener("blur", () => delete button.dataset.copied, { once: true });
}
