"""The project's own documentation: where its pages are, and the sections they consist of.

A page is a Markdown file; its name is its path without ``.md`` (``protocol``, ``rules/JS001``),
and ``docs/NAME`` its address, relative to where the server is mounted. A section is what stands
under one heading of level one to three, with the anchor that GitHub gives such a heading.
"""

import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from netra_backend.errors import ConfigError

_HEADING = re.compile(r"(#{1,6})\s+(.+?)\s*#*\s*")
_FENCE = re.compile(r"\s{0,3}(```+|~~~+)")
_LINK = re.compile(r"(!?)\[([^\]\n]*)\]\(([^()\s]+)\)")
_ABSOLUTE = re.compile(r"[a-z][a-z0-9+.-]*:|/", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Section:
    """What stands under one heading.

    `page` is the title of the page; the section directly under it has it as its `heading` too.
    `url` is ``docs/page#anchor``. `body` is Markdown without the heading; links in it to other
    pages are ``docs/...``.
    """

    page: str
    heading: str
    url: str
    body: str

    @property
    def title(self) -> str:
        """The headings above the text, the page's first."""
        return self.heading if self.heading == self.page else f"{self.page} / {self.heading}"

    @property
    def is_aside(self) -> bool:
        """Whether the page is one of many of a kind, full of examples: a rule of the scanner."""
        return self.url.startswith("docs/rules/")

    @property
    def is_overview(self) -> bool:
        """Whether the page says of many things where they are told."""
        return self.url.partition("#")[0] in {"docs/readme", "docs/index"}


def documentation_root() -> Path:
    """Return the folder with the pages: in the installed package, else beside the source.

    Raises ConfigError if neither is there.
    """
    package = Path(__file__).parents[1]
    for root in (package / "documentation", package.parent.parent / "docs"):
        if root.is_dir():
            return root
    raise ConfigError(f"the documentation is missing: there is no {package / 'documentation'}")


def pages(root: Path) -> dict[str, Path]:
    """Return the pages below `root` by name, in the order of their names.

    The README is the page ``readme``; in a source tree it stands beside `root`.
    """
    found = {path.relative_to(root).with_suffix("").as_posix(): path for path in root.rglob("*.md")}
    readme = root.parent / "README.md"
    if "README" in found:
        found["readme"] = found.pop("README")
    elif readme.is_file():
        found["readme"] = readme
    return dict(sorted(found.items()))


def pictures(root: Path) -> dict[str, Path]:
    """Return the pictures below `root` by their paths, such as ``page.png``."""
    return {path.relative_to(root).as_posix(): path for path in sorted(root.rglob("*.png"))}


def sections(name: str, markdown: str) -> Iterator[Section]:
    """Yield the sections of the page `name` in order; one without any text is left out."""
    page = heading = name
    url = f"docs/{name}"
    anchors: Counter[str] = Counter()
    body: list[str] = []
    for line, level, text in _lines(name, markdown):
        if level == 0:
            body.append(line)
            continue
        anchor = _unique(anchor_of(text), anchors)
        if level > 3:
            body.append(f"**{text}**")
            continue
        yield from _section(page, heading, url, body)
        heading, body = _plain(text), []
        if level == 1:
            page, url = heading, f"docs/{name}"
        else:
            url = f"docs/{name}#{anchor}"
    yield from _section(page, heading, url, body)


def anchor_of(heading: str) -> str:
    """Return the anchor of a heading, as GitHub makes it: ``Close codes`` is ``close-codes``."""
    kept = "".join(c for c in _plain(heading).lower() if c.isalnum() or c in " -_")
    return kept.replace(" ", "-")


def blocks(body: str) -> list[str]:
    """Return the blocks of a Markdown text: what blank lines part, code fences kept whole."""
    found: list[str] = []
    current: list[str] = []
    for line, fenced in _fenced(body):
        if line.strip() or fenced:
            current.append(line)
        elif current:
            found.append("\n".join(current))
            current = []
    if current:
        found.append("\n".join(current))
    return found


def _lines(name: str, markdown: str) -> Iterator[tuple[str, int, str]]:
    """Yield each line with its heading level (0: none) and heading text, links resolved."""
    for line, fenced in _fenced(markdown):
        if fenced:
            yield line, 0, ""
            continue
        heading = _HEADING.fullmatch(line)
        if heading:
            yield line, len(heading[1]), heading[2]
        else:
            yield _LINK.sub(lambda match: _resolved(name, match), line), 0, ""


def _fenced(markdown: str) -> Iterator[tuple[str, bool]]:
    """Yield each line, and whether it belongs to a code fence."""
    fence = ""
    for line in markdown.splitlines():
        mark = _FENCE.match(line)
        if fence:
            yield line, True
            if mark and mark[1].startswith(fence) and not line.strip(" `~"):
                fence = ""
        else:
            fence = mark[1] if mark else ""
            yield line, bool(fence)


def _section(page: str, heading: str, url: str, body: Iterable[str]) -> Iterator[Section]:
    text = "\n".join(body).strip()
    if text:
        yield Section(page, heading, url, text)


def _unique(anchor: str, anchors: Counter[str]) -> str:
    """Return the anchor with a number if the page has it already."""
    count = anchors[anchor]
    anchors[anchor] += 1
    return f"{anchor}-{count}" if count else anchor


def _plain(text: str) -> str:
    """Return a heading without its marks: code, emphasis, links."""
    return re.sub(r"[`*]", "", _LINK.sub(r"\2", text)).strip()


def _resolved(name: str, link: re.Match[str]) -> str:
    """Return a link as it must be outside its page; one that leads to no page becomes text."""
    image, text, target = link[1], link[2], link[3]
    if image:
        return text
    if _ABSOLUTE.match(target):
        return link[0]
    path, _, anchor = target.partition("#")
    page = _page_at(name, path) if path else name
    if page is None:
        return text
    return f"[{text}](docs/{page}#{anchor})" if anchor else f"[{text}](docs/{page})"


def _page_at(name: str, path: str) -> str | None:
    """Return the page that `path` means on the page `name`, or None if it means no page."""
    folder = "" if name == "readme" else posixpath.join("docs", posixpath.dirname(name))
    target = posixpath.normpath(posixpath.join(folder, path))
    if target == "README.md":
        return "readme"
    if target.startswith("docs/") and target.endswith(".md"):
        return target.removeprefix("docs/").removesuffix(".md")
    return None
