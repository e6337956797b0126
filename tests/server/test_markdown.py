"""The page's markdown, in a browser under the server's own Content-Security-Policy."""

import asyncio
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.e2e.page.browser import ARGUMENTS, chromium
from tests.live import ServerProcess

TAGS = frozenset(
    re.findall(
        r"\w+",
        "A BLOCKQUOTE BR CODE DEL DETAILS DIV EM H1 H2 H3 H4 H5 H6 HR IMG KBD LI OL P PRE S "
        "STRONG SUB SUMMARY SUP TABLE TBODY TD TH THEAD TR UL",
    )
)
ATTRIBUTES = frozenset(
    re.findall(
        r"\w+", "align alt class colspan href loading open rel rowspan src start target title"
    )
)

HOSTILE = (
    "<script>pwned()</script>",
    "<img src=x onerror=pwned()>",
    "<svg onload=pwned()><animate onbegin=pwned()></svg>",
    "<svg><style><img src=x onerror=pwned()></style></svg>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img onerror=pwned()'>",
    "<noscript><p title='</noscript><img src=x onerror=pwned()>'></noscript>",
    "<form><math><mtext></form><form><mglyph><style></math><img src onerror=pwned()>",
    "<iframe src='javascript:pwned()'></iframe><iframe srcdoc='<script>pwned()</script>'></iframe>",
    "<object data='javascript:pwned()'></object><embed src='javascript:pwned()'>",
    "<form action='javascript:pwned()'><input name=body autofocus onfocus=pwned()><button>x",
    "<base href='https://evil.example/'><link rel=stylesheet href='https://evil.example/x.css'>",
    "<meta http-equiv=refresh content='0;url=https://evil.example/'>",
    "<style>body{display:none}@import 'https://evil.example/x.css'</style>",
    "<p style='background:url(https://evil.example/x)' id=log name=body data-part=approve>x</p>",
    "<a href='javas&#99;ript:pwned()'>x</a><a href=' java\nscript:pwned()'>x</a>",
    "<a href='https://evil.example/' ping='https://evil.example/p' onclick='pwned()'>x</a>",
    "<a id=location href='cid:x'>x</a><a name=cookie></a><img name=getElementById>",
    "<video src='https://evil.example/x' onerror=pwned()></video><audio src=x onerror=pwned()>",
    "<img src='https://evil.example/x.png' srcset='https://evil.example/y.png 2x'>",
    "<picture><source srcset='https://evil.example/x.png'><img src='//evil.example/x'></picture>",
    "<template><script>pwned()</script></template><portal src='https://evil.example'></portal>",
    "<details open ontoggle=pwned()><summary onclick=pwned()>x</summary></details>",
    "<xmp><img src=x onerror=pwned()></xmp><plaintext><script>pwned()</script>",
    "[x](javascript:pwned()) [x](JaVaScRiPt:pwned()) [x](&#106;avascript:pwned())",
    "[x](data:text/html,<script>pwned()</script>) [x](vbscript:pwned()) [x](blob:x) [x](file:///x)",
    "![x](javascript:pwned()) ![x](https://evil.example/x.png) ![x](data:text/html,pwned)",
    "[x]: javascript:pwned()\n\n[x] ![x] [y][x]",
    "<javascript:pwned()> <https://evil.example/<script>pwned()</script>>",
    "```<script>pwned()</script>\n</code></pre><img src=x onerror=pwned()>\n```",
    '```js onload=pwned()"><img src=x onerror=pwned()>\nx\n```',
    "`</code><img src=x onerror=pwned()>`",
    "| <img src=x onerror=pwned()> |\n|---|\n| <script>pwned()</script> |",
    '[x](https://a.example "\\"onmouseover=pwned() x=\\"")',
    "<p class='question said'>x</p><code class='language-js fold'>x</code>",
    "\u0000<scr\u0000ipt>pwned()</scr\u0000ipt>",
    "<a href='https://a.example' target=_self rel=opener>x</a>",
)

DRAW = """async (markdown) => {
  const { src } = document.querySelector("script[type=module]");
  const { rendered } = await import(new URL("markdown.js", src));
  const place = document.createElement("div");
  document.body.append(place);
  globalThis.pwned = () => (globalThis.fell = true);
  place.append(rendered(markdown));
  await new Promise((done) => setTimeout(() => requestAnimationFrame(done), 20));
  const nodes = [...place.querySelectorAll("*")];
  const found = nodes.map((node) => ({
    tag: node.tagName,
    attributes: Object.fromEntries([...node.attributes].map((a) => [a.name, a.value])),
    url: node.href ?? node.src ?? null,
  }));
  const text = place.textContent;
  place.remove();
  return { found, text, fell: globalThis.fell === true };
}"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = ServerProcess(tmp_path_factory.mktemp("markdown") / "data", ("docs",))
    server.start()
    try:
        asyncio.run(server.wait_ready())
        yield server.url
    finally:
        server.stop()


@pytest.fixture(scope="module")
def page(url: str) -> Iterator[Page]:
    with sync_playwright() as playwright:
        path = chromium(playwright.chromium.executable_path)
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        page = browser.new_page()
        page.goto(url)
        yield page
        browser.close()


def test_hostile_markdown_becomes_harmless_nodes(page: Page, url: str) -> None:
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    for markdown in (*HOSTILE, "\n\n".join(HOSTILE)):
        drawn = page.evaluate(DRAW, markdown)
        assert not drawn["fell"], markdown
        for node in drawn["found"]:
            _check(node, markdown)
    own = ("data:", f"{url.rstrip('/')}/threads?")  # the page asks for its list when it likes
    assert [request for request in requests if not request.startswith(own)] == []
    assert page.url.startswith(url)


def _check(node: dict[str, Any], markdown: str) -> None:
    attributes = node["attributes"]
    assert node["tag"] in TAGS, markdown
    assert set(attributes) <= ATTRIBUTES, markdown
    if "class" in attributes:
        assert node["tag"] == "CODE", markdown
        assert attributes["class"].startswith("language-"), markdown
        assert " " not in attributes["class"], markdown
    if "href" in attributes:
        assert urlsplit(node["url"]).scheme in ("http", "https", "mailto"), markdown
        assert attributes["target"] == "_blank", markdown
        assert attributes["rel"] == "noopener noreferrer nofollow", markdown
    if node["tag"] == "IMG" and "src" in attributes:
        assert node["url"].startswith("data:image/"), markdown


def test_good_markdown_is_drawn(page: Page) -> None:
    drawn = page.evaluate(
        DRAW,
        "# One\n\n**b** _i_ ~~s~~ `c` [docs](/docs/protocol#run) <me@example.org>\n\n- [x] done\n"
        "- [ ] open\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n\n```python\nx = 1\n```\n\n> quote\n\n"
        "![seen](https://elsewhere.example/x.png) "
        "![here](data:image/gif;base64,R0lGODlhAQABAAAAACw=)",
    )
    tags = [node["tag"] for node in drawn["found"]]
    for tag in ("H1", "STRONG", "EM", "DEL", "CODE", "UL", "LI", "TABLE", "PRE", "BLOCKQUOTE"):
        assert tag in tags, tag
    links = [node["attributes"]["href"] for node in drawn["found"] if node["tag"] == "A"]
    assert links == [
        "/docs/protocol#run",
        "mailto:me@example.org",
        "https://elsewhere.example/x.png",
    ]
    assert tags.count("IMG") == 1
    assert "☑ done" in drawn["text"]
    assert "☐ open" in drawn["text"]
    assert {"class": "language-python"} in [node["attributes"] for node in drawn["found"]]


def test_what_cannot_be_parsed_is_shown_as_text(page: Page) -> None:
    for markdown in ("> " * 50_000 + "deep", "[" * 20_000 + "deep", "*a " * 20_000 + "deep"):
        drawn = page.evaluate(DRAW, markdown)
        assert drawn["text"].rstrip().endswith("deep")


def test_a_growing_text_keeps_the_blocks_that_did_not_change(page: Page) -> None:
    kept = page.evaluate(
        """async () => {
          const { src } = document.querySelector("script[type=module]");
          const { MarkdownText } = await import(new URL("markdown.js", src));
          const root = document.createElement("div");
          const text = new MarkdownText(root);
          text.show("One\\n\\nTwo [x]\\n\\nThr");
          const [one, two, three] = root.children;
          text.show("One\\n\\nTwo [x]\\n\\nThree");
          const grown = [one, two, three].map((node, at) => root.children[at] === node);
          text.show("One\\n\\nTwo [x]\\n\\nThree\\n\\n[x]: /page/");
          const defined = [root.children.length, root.querySelector("a")?.textContent];
          text.show("Other");
          return { grown, defined, replaced: [root.children.length, root.textContent.trim()] };
        }"""
    )
    assert kept["grown"] == [True, True, False]
    assert kept["defined"] == [3, "x"]
    assert kept["replaced"] == [1, "Other"]


BLOCKS = (
    "A **plain** paragraph with `code` and [a link](/docs/protocol).",
    "# A heading",
    "- a list\n- of two",
    "1. one\n2. two",
    "| a | b |\n|---|---|\n| 1 | 2 |",
    "> quoted\n>\n> twice",
    "```js\nlet a = 1;\n```",
    "---",
    "Raw </div></p> ends and <details> begins",
    "<details><summary>more</summary>inside</details>",
    "![a picture](/page/icon.svg) ![elsewhere](https://example.org/x.png)",
    "שלום",
)


def test_blocks_that_are_drawn_together_are_what_each_is_alone(page: Page) -> None:
    drawn = page.evaluate(
        """async (blocks) => {
          const { src } = document.querySelector("script[type=module]");
          const { MarkdownText } = await import(new URL("markdown.js", src));
          const shown = (text) => {
            const root = document.createElement("div");
            new MarkdownText(root).show(text);
            return [...root.children].map((node) => node.innerHTML.trim());
          };
          const many = [].concat(...Array(50).fill(blocks));
          return [shown(many.join("\\n\\n")), many.map((block) => shown(block)[0])];
        }""",
        BLOCKS,
    )
    together, alone = drawn
    assert together == alone
