"""The documentation as the server shows it."""

import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from netra_backend.agents.documentation import documentation_root, pages, pictures
from netra_backend.server.site import PAGE, takes_gzip
from netra_backend.stores.memory import MemoryStore
from tests.http import http
from tests.live import live

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """Run all of these tests in one event loop: they share a server."""
    return "asyncio"


@pytest.fixture(scope="module")
async def site(
    anyio_backend: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        live(None, tmp_path_factory.mktemp("site"), store=MemoryStore()) as server,
        http(server.url, None) as client,
    ):
        yield client


async def test_every_page_that_the_docs_agent_links_to_is_there(site: httpx.AsyncClient) -> None:
    names = pages(documentation_root())
    assert {"agents", "protocol", "readme", "tutorial"} <= set(names)

    for name, path in names.items():
        shown = await site.get(f"/docs/{name}")
        source = await site.get(f"/docs/{name}.md")
        assert (shown.status_code, source.status_code) == (200, 200)
        assert shown.headers["content-type"].startswith("text/html")
        assert source.text == path.read_text(encoding="utf-8")


async def test_every_picture_of_the_documentation_is_there(site: httpx.AsyncClient) -> None:
    names = pictures(documentation_root())
    assert "page.png" in names

    for name, path in names.items():
        shown = await site.get(f"/docs/{name}")
        assert shown.headers["content-type"] == "image/png"
        assert shown.content == path.read_bytes()


@pytest.mark.parametrize(
    "path",
    [
        "absent.md",
        "..%2FREADME.md",
        "%2e%2e%2fpyproject.md",
        "%2Fetc%2Fpasswd.md",
        "a%00b.md",
        "no.png",
        "..%2Fdocs%2Fpage.png",
    ],
)
async def test_what_is_no_page_is_not_found(site: httpx.AsyncClient, path: str) -> None:
    answer = await site.get(f"/docs/{path}")

    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


@pytest.mark.parametrize(
    "asked", ["bytes=0-9", "bytes=99999999-", "bytes=9-1", "bytes=x", "lines=1"]
)
async def test_a_file_is_whole_whatever_part_is_asked_for(
    site: httpx.AsyncClient, asked: str
) -> None:
    for path in ("/page/app.js", "/docs/protocol.md", "/docs/page.png"):
        whole = await site.get(path)
        given = await site.get(path, headers={"Range": asked})
        assert (given.status_code, given.headers["accept-ranges"]) == (200, "none"), path
        assert given.content == whole.content


ASSET = re.compile(r'="([./]*page/[^"]+)"')


async def test_the_files_of_the_page_are_of_one_version_which_a_browser_keeps(
    site: httpx.AsyncClient,
) -> None:
    for path in ("/", "/docs", "/docs/protocol"):
        shell = await site.get(path)
        links = ASSET.findall(shell.text)
        assert len(links) >= 4, path
        for link in links:
            asset = await site.get(str(shell.url.join(link)))
            assert asset.status_code == 200, link
            assert "immutable" in asset.headers["cache-control"], link
    index = await site.get("/")
    assert index.headers["cache-control"] == "no-cache"


async def test_a_first_visit_is_sent_in_few_bytes_to_who_takes_them(
    site: httpx.AsyncClient,
) -> None:
    sent = {"gzip": 0, "identity": 0}
    for path in ("/", "/page/vendor/marked.js", "/page/theme.css", "/docs", "/docs/protocol.md"):
        text = {}
        for coding in sent:
            got = await site.get(path, headers={"Accept-Encoding": coding})
            sent[coding] += got.num_bytes_downloaded
            text[coding] = got.content
            assert got.headers["vary"] == "Accept-Encoding", path
        assert text["gzip"] == text["identity"], path
    assert sent["gzip"] < sent["identity"] / 2


@pytest.mark.parametrize(
    ("accepted", "taken"),
    [
        ("gzip, deflate, br, zstd", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("*", True),
        ("gzip;q=0.001", True),
        ("gzip ; q=1.000 , identity;q=0", True),
        ("identity;q=0.5, *;q=0.6", True),
        ("br, *;q=0.1", True),
        ("identity;q=0, *;q=0.5", True),
        ("", False),
        ("br", False),
        ("gzip;q=0", False),
        ("gzip;q=0.000, *", False),
        ("*;q=0", False),
        ("gzip;q=0.5, identity", False),
        ("identity", False),
        ("xgzip", False),
        ("gzip;q=much", False),
        ("gzip;q=", False),
    ],
)
def test_gzip_is_for_who_takes_it(accepted: str, taken: bool) -> None:
    assert takes_gzip(accepted.encode()) is taken


@pytest.mark.parametrize(
    ("fields", "coding"),
    [
        ([("Accept-Encoding", "gzip;q=0")], None),
        ([("Accept-Encoding", "br"), ("Accept-Encoding", "gzip")], "gzip"),
        ([("Accept-Encoding", "gzip"), ("Accept-Encoding", "*;q=0")], "gzip"),
        ([], None),
    ],
)
async def test_a_page_is_sent_as_it_is_taken(
    site: httpx.AsyncClient, fields: list[tuple[str, str]], coding: str | None
) -> None:
    for path in ("/", "/page/app.js", "/docs/protocol.md"):
        got = await site.send(httpx.Request("GET", site.base_url.join(path), headers=fields))
        assert got.headers.get("content-encoding") == coding, path
        assert got.headers["vary"] == "Accept-Encoding", path


@pytest.mark.parametrize("coding", ["gzip", "identity"])
async def test_the_head_of_a_compressed_answer_says_how_it_is_sent(
    site: httpx.AsyncClient, coding: str
) -> None:
    takes = {"Accept-Encoding": coding}
    for path in ("/", "/page/app.js", "/page/vendor/marked.js", "/docs", "/docs/protocol.md"):
        full, head = [await site.request(how, path, headers=takes) for how in ("GET", "HEAD")]
        for name in ("content-length", "content-encoding", "etag", "vary", "accept-ranges"):
            assert head.headers.get(name) == full.headers.get(name), (path, name)
        assert not head.content


async def test_two_codings_of_a_file_have_a_weak_tag_in_common(site: httpx.AsyncClient) -> None:
    """A strong one says that they are the same bytes: a cache would join parts of them."""
    for coding in ("gzip", "identity"):
        takes = {"Accept-Encoding": coding}
        file = await site.get("/page/app.js", headers=takes)
        assert file.headers["etag"].startswith('W/"')
        known = {"If-None-Match": file.headers["etag"]}
        again = await site.get("/page/app.js", headers=takes | known)
        assert (again.status_code, again.headers["vary"]) == (304, "Accept-Encoding")
        assert again.headers["etag"] == file.headers["etag"]


@pytest.mark.parametrize("version", ["", "~another/"])
async def test_of_a_file_of_no_known_version_is_asked_whether_it_has_changed(
    site: httpx.AsyncClient, version: str
) -> None:
    for path in ("app.js", "vendor/marked.js", "theme.css"):
        first = await site.get(f"/page/{version}{path}")
        assert (first.status_code, first.headers["cache-control"]) == (200, "no-cache"), path
        tag = {"If-None-Match": first.headers["etag"]}
        again = await site.get(f"/page/{version}{path}", headers=tag)
        assert (again.status_code, again.headers["cache-control"]) == (304, "no-cache"), path


async def test_a_page_that_is_changed_is_of_another_version_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(PAGE, tmp_path / "page")
    monkeypatch.setattr("netra_backend.server.site.PAGE", tmp_path / "page")
    async with (
        live(None, tmp_path / "data", store=MemoryStore()) as server,
        http(server.url, None) as client,
    ):
        before = ASSET.findall((await client.get("/")).text)
        (tmp_path / "page" / "fold.js").write_text("export {};", encoding="utf-8")
        after = ASSET.findall((await client.get("/")).text)
        assert len(before) == len(after)
        assert not set(before) & set(after)
        changed = await client.get(f"/{after[-1]}".replace("app.js", "fold.js"))
        assert changed.text == "export {};"
        assert "immutable" in changed.headers["cache-control"]
        old = await client.get(f"/{before[-1]}")
        assert (old.status_code, old.headers["cache-control"]) == (200, "no-cache")
