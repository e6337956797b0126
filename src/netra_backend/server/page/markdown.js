// Markdown, drawn safely: parsed by marked, sanitised by DOMPurify after rendering, and only then
// put into the page. What a model writes is untrusted, and so is everything it quotes.
//
// A message that grows is drawn block by block: blocks that did not change keep their nodes, so
// nothing flickers and a selection in them survives.

import DOMPurify from "./vendor/dompurify.js";
import { Marked } from "./vendor/marked.js";

const TAGS =
  "a blockquote br code del details em h1 h2 h3 h4 h5 h6 hr img kbd li ol p pre s strong sub " +
  "summary sup table tbody td th thead tr ul";
const ATTRIBUTES = "align alt class colspan href open rowspan src start title";
const LANGUAGE = /^language-[\w+#.-]{1,40}$/;
const LINK_SCHEMES = new Set(["http:", "https:", "mailto:"]);
const BATCH = 200; // Blocks that are sanitised at once.
const WHOLE = new Set(["blockquote", "code", "heading", "hr", "list", "paragraph", "table"]);
const INVISIBLE = new Set(["space", "def"]); // Tokens that draw nothing.

const marked = new Marked({
  gfm: true,
  renderer: { checkbox: ({ checked }) => (checked ? "☑ " : "☐ ") },
});

// An instance of its own: its hooks are nobody else's.
const purifier = DOMPurify(window);
purifier.setConfig({
  ALLOWED_TAGS: TAGS.split(" "),
  ALLOWED_ATTR: ATTRIBUTES.split(" "),
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  RETURN_DOM_FRAGMENT: true,
});
purifier.addHook("uponSanitizeAttribute", (node, data) => {
  const wanted = node.nodeName === "CODE" && LANGUAGE.test(data.attrValue);
  if (data.attrName === "class") data.keepAttr = wanted;
});
purifier.addHook("afterSanitizeAttributes", (node) => {
  if (node.nodeName === "A") tameLink(node);
  if (node.nodeName === "IMG") tameImage(node);
});

/** Return `markdown` as nodes that are safe to insert. Total: what cannot be parsed is text. */
export function rendered(markdown) {
  try {
    return sanitised(marked.parser(marked.lexer(markdown)));
  } catch (error) {
    return asText(markdown, error);
  }
}

/** A growing markdown text in `root`. */
export class MarkdownText {
  #root;
  #blocks = []; // {raw, node} of each top-level block that is drawn.
  #links = "";

  constructor(root) {
    this.#root = root;
  }

  /** Show `markdown`; only blocks that differ from what was shown are drawn. */
  show(markdown) {
    let tokens;
    let links;
    try {
      const found = marked.lexer(markdown);
      tokens = found.filter(({ type }) => !INVISIBLE.has(type));
      // A definition of a link at the end may change a block at the beginning.
      links = JSON.stringify(found.links);
    } catch (error) {
      return this.#replace(0, [{ raw: markdown, node: block(asText(markdown, error)) }]);
    }
    let same = 0;
    if (links === this.#links) {
      while (same < this.#blocks.length && this.#blocks[same].raw === tokens[same]?.raw) same += 1;
    }
    this.#links = links;
    this.#replace(same, drawn(tokens.slice(same)));
  }

  #replace(from, blocks) {
    for (const { node } of this.#blocks.splice(from)) node.remove();
    this.#blocks.push(...blocks);
    this.#root.append(...blocks.map(({ node }) => node));
  }
}

/** Return {raw, node} of each token. */
function drawn(tokens) {
  const blocks = [];
  for (let at = 0; at < tokens.length; ) {
    const several = plainFrom(tokens, at);
    const together = several.length > 1 ? drawnTogether(several) : null;
    blocks.push(...(together ?? [drawnAlone(tokens[at])]));
    at += together ? several.length : 1;
  }
  return blocks;
}

/** Return the tokens from `at` on, up to `BATCH`, of which each is one element, whatever it says. */
function plainFrom(tokens, at) {
  const end = at + BATCH;
  let to = at;
  while (to < tokens.length && to < end && WHOLE.has(tokens[to].type) && !tokens[to].raw.includes("<")) to += 1;
  return tokens.slice(at, to);
}

/** Sanitise several blocks at once, which takes a fraction of the time; null if that mixes them up. */
function drawnTogether(tokens) {
  try {
    const elements = [...sanitised(tokens.map((token) => marked.parser([token])).join("")).children];
    if (elements.length !== tokens.length) return null;
    return elements.map((element, at) => ({ raw: tokens[at].raw, node: block(element) }));
  } catch {
    return null;
  }
}

function drawnAlone(token) {
  try {
    return { raw: token.raw, node: block(sanitised(marked.parser([token]))) };
  } catch (error) {
    return { raw: token.raw, node: block(asText(token.raw, error)) };
  }
}

function block(fragment) {
  const node = document.createElement("div");
  node.className = "block";
  node.dir = "auto"; // Hebrew and Arabic run from the right, block by block.
  node.append(fragment);
  return node;
}

function sanitised(html) {
  return purifier.sanitize(html);
}

/** The parser gave up, for instance on ten thousand nested quotes: show the text as it is. */
function asText(markdown, error) {
  console.warn("markdown shown as text:", error.message);
  const node = document.createElement("p");
  node.className = "plain";
  node.textContent = markdown;
  const fragment = document.createDocumentFragment();
  fragment.append(node);
  return fragment;
}

/** Let a link lead only to the web, to mail or within this server, and tell nothing about us. */
function tameLink(node) {
  const url = urlOf(node.getAttribute("href"));
  if (!url || !LINK_SCHEMES.has(url.protocol)) return node.removeAttribute("href");
  node.setAttribute("target", "_blank");
  node.setAttribute("rel", "noopener noreferrer nofollow");
}

/**
 * Show only an image that is in the text itself. To load another one tells somebody that it was
 * looked at, or asks this server for something in the user's name because a model wrote its address.
 */
function tameImage(node) {
  const url = urlOf(node.getAttribute("src"));
  if (url?.href.startsWith("data:image/")) return;
  const link = document.createElement("a");
  link.textContent = node.getAttribute("alt") || url?.href || "image";
  if (url) link.setAttribute("href", node.getAttribute("src"));
  tameLink(link);
  node.replaceWith(link);
}

function urlOf(text) {
  try {
    return text === null ? null : new URL(text, document.baseURI);
  } catch {
    return null;
  }
}
