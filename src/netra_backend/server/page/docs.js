// A page of the documentation: its Markdown, drawn as in the chat, with anchors and plain links.

import { rendered } from "./markdown.js";

const ROOT = new URL("../../", import.meta.url); // Above page/VERSION/; the server may be mounted below a path.
const DOCS = new URL("docs/", ROOT);
const main = document.getElementById("page");

/** Return the anchor that GitHub gives a heading. */
function anchor(heading) {
  return heading.toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, "").trim().replace(/\s/g, "-");
}

/** Give every heading its anchor; a heading that comes again gets -1, -2 and so on, as on GitHub. */
function nameHeadings() {
  const counts = new Map();
  for (const heading of main.querySelectorAll("h1, h2, h3, h4, h5, h6")) {
    const name = anchor(heading.textContent);
    const before = counts.get(name) ?? 0;
    counts.set(name, before + 1);
    heading.id = before ? `${name}-${before}` : name;
  }
}

/** Return the name of the page that the address means. */
function pageName() {
  return location.pathname.slice(DOCS.pathname.length).replace(/\/$/, "") || "index";
}

/** Return where the source of the page stands: what is relative in it is relative to that. The
    README stands one folder above the other pages. */
function sourceOf(name) {
  return name === "readme" ? new URL("README.md", ROOT) : new URL(`${name}.md`, DOCS);
}

/** Return where a link leads: one that begins with a slash begins where the server is mounted. */
function target(given, source) {
  return /^\/(?!\/)/.test(given) ? new URL(`.${given}`, ROOT) : new URL(given, source);
}

/** Return a picture of the documentation: as anywhere else, only a link is left of it. */
function picture(url, text) {
  const image = document.createElement("img");
  image.src = url.href;
  image.alt = text;
  return image;
}

/** Let a link to another page lead to the page, not to its source, and stay in this tab; one to a
    picture shows it. What leads to a file that is not served here becomes text. */
function straighten(link, source) {
  const given = link.getAttribute("href");
  const url = target(given, source);
  if (url.origin !== location.origin) return;
  if (url.pathname === sourceOf("readme").pathname) url.pathname = `${DOCS.pathname}readme`;
  const isPage = url.pathname.startsWith(DOCS.pathname);
  if (isPage && url.pathname.endsWith(".png")) {
    link.replaceWith(picture(url, link.textContent));
    return;
  }
  if (!isPage && !given.startsWith("/")) {
    link.replaceWith(...link.childNodes);
    return;
  }
  link.removeAttribute("target");
  if (isPage) url.pathname = url.pathname.replace(/\.md$/, "");
  link.href = url.href;
}

async function show() {
  const name = pageName();
  const source = sourceOf(name);
  const answer = await fetch(new URL(`${name}.md`, DOCS));
  if (!answer.ok) {
    main.replaceChildren(rendered("# Not found\n\nThere is no such page of the documentation."));
    return;
  }
  main.replaceChildren(rendered(await answer.text()));
  nameHeadings();
  for (const link of main.querySelectorAll("a[href]")) straighten(link, source);
  document.title = `${main.querySelector("h1")?.textContent ?? name} · Netra`;
  // What the address names was not there when the browser looked for it.
  if (location.hash) location.replace(location.hash);
}

show()
  .catch((error) => main.replaceChildren(rendered(`# Not loaded\n\n${error.message}`)))
  .finally(() => main.removeAttribute("aria-busy"));
