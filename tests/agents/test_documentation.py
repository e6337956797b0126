"""Pages and sections of the documentation."""

from pathlib import Path

import pytest

from netra_backend.agents.documentation import anchor_of, blocks, pages, pictures, sections

PAGE = """Before any heading.

# The `protocol` page

Text under the title, with a [link](agents.md#ids) and a [file](../src/x.py).

## Close codes

See [above](#frames), [the README](../README.md) and <https://example.org>.

#### A detail

stays in the section.

```sh
# no heading
[no](link.md)
```

## Frames
## Close codes

Again. ![a picture](picture.png)
"""


def test_a_page_is_taken_apart_at_its_headings() -> None:
    found = list(sections("protocol", PAGE))

    assert [(section.title, section.url) for section in found] == [
        ("protocol", "docs/protocol"),
        ("The protocol page", "docs/protocol"),
        ("The protocol page / Close codes", "docs/protocol#close-codes"),
        ("The protocol page / Close codes", "docs/protocol#close-codes-1"),
    ]


def test_links_lead_somewhere_or_are_text() -> None:
    _, title, codes, again = (section.body for section in sections("protocol", PAGE))

    assert title == "Text under the title, with a [link](docs/agents#ids) and a file."
    assert "[above](docs/protocol#frames), [the README](docs/readme)" in codes
    assert "[no](link.md)" in codes
    assert again == "Again. a picture"


def test_a_link_is_relative_to_the_folder_of_its_page() -> None:
    (section,) = sections("rules/JS001", "[next](JS002.md) [up](../agents.md) [out](../../a.md)")

    assert section.body == "[next](docs/rules/JS002) [up](docs/agents) out"


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("Close codes", "close-codes"),
        ("`netra serve`", "netra-serve"),
        ("What's new?", "whats-new"),
        ("snake_case & more", "snake_case--more"),
    ],
)
def test_anchors_are_those_of_github(heading: str, anchor: str) -> None:
    assert anchor_of(heading) == anchor


def test_a_code_fence_is_one_block() -> None:
    text = "One.\n\n````\n```\n\nstill\n```\n````\n\nTwo.\nThree."

    assert blocks(text) == ["One.", "````\n```\n\nstill\n```\n````", "Two.\nThree."]


def test_pages_are_found_in_folders_and_the_readme_beside_them(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    (docs / "rules").mkdir(parents=True)
    for path in (docs / "index.md", docs / "rules" / "JS001.md", tmp_path / "README.md"):
        path.write_text("# Page\n\nText.")
    (docs / "picture.png").touch()

    assert list(pages(docs)) == ["index", "readme", "rules/JS001"]
    assert pictures(docs) == {"picture.png": docs / "picture.png"}


def test_the_readme_may_lie_in_the_folder_as_in_a_wheel(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# Netra")

    assert pages(tmp_path) == {"readme": tmp_path / "README.md"}
