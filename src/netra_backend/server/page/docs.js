// A page of the documentation: its Markdown, drawn as in the chat, with anchors and plain links.

import { rendered } from "./markdown.js";

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

/** Let a link to another page lead to the page, not to its source, and stay in this tab.
    The README stands one folder above the other pages: its "docs/x.md" is "/docs/x" here. */
function straighten(link) {
  const url = new URL(link.getAttribute("href"), document.baseURI);
  if (url.origin !== location.origin) return;
  link.removeAttribute("target");
  url.pathname = url.pathname.replace(/^\/docs\/docs\//, "/docs/");
  if (url.pathname.startsWith("/docs/")) url.pathname = url.pathname.replace(/\.md$/, "");
  link.href = url.href;
}

async function show() {
  const name = location.pathname.replace(/^.*?\/docs\/?/, "").replace(/\/$/, "") || "index";
  const answer = await fetch(`/docs/${name}.md`);
  if (!answer.ok) {
    main.replaceChildren(rendered("# Not found\n\nThere is no such page of the documentation."));
    return;
  }
  main.replaceChildren(rendered(await answer.text()));
  nameHeadings();
  for (const link of main.querySelectorAll("a[href]")) straighten(link);
  document.title = `${main.querySelector("h1")?.textContent ?? name} · Netra`;
  if (location.hash) document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
}

show()
  .catch((error) => main.replaceChildren(rendered(`# Not loaded\n\n${error.message}`)))
  .finally(() => main.removeAttribute("aria-busy"));
