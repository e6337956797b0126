"""The page below a path: mounted in another application, or behind a proxy that has a prefix."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import expect

from netra_backend.agents.documentation import documentation_root, pages
from netra_backend.config import Settings
from netra_backend.server.app import create_app
from netra_backend.server.lane import Protocol
from netra_backend.stores.memory import MemoryStore
from tests.e2e.page.browser import Tab
from tests.e2e.page.conftest import Meet
from tests.live import serving
from tests.prefixed import PREFIX, WAYS, below

pytestmark = pytest.mark.anyio


USUAL = "proxied with root_path"


@pytest.fixture(
    params=[w if w == USUAL else pytest.param(w, marks=pytest.mark.nightly) for w in WAYS]
)
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """Serve the docs agent below a path; return the address of the page without its last slash."""
    app = create_app(settings=Settings(data_dir=tmp_path), store=MemoryStore())
    async with serving(below(app, request.param), Protocol) as port:
        yield f"http://127.0.0.1:{port}{PREFIX}"
        await app.drain(0)
        await app.close()


@pytest.fixture
async def tab(url: str, meet: Meet) -> Tab:
    """Return a live chat page of a new visitor of that server, who leaves before it stops."""
    visitor = await meet(url)
    tab = await visitor.tab()
    await tab.connection("live")
    return tab


async def test_everything_on_the_page_works(tab: Tab, url: str) -> None:
    await tab.ask("Which close codes are there?")
    await tab.run("finished")
    await tab.shows_the_log()
    await expect(tab.page.locator("#threads > li")).to_have_count(1)
    await expect(tab.page.locator("#tail-command")).to_contain_text(f"--url {url}")
    await tab.page.reload()
    await tab.run("finished")
    await tab.shows_the_log()

    async with tab.visitor.context.expect_page() as opening:
        await tab.page.locator(".answer a[href$='#close-codes']").first.click()
    opened = await opening.value
    assert opened.url == f"{url}/docs/protocol#close-codes"
    await expect(opened.locator("main :target")).to_be_in_viewport()
    await opened.get_by_role("link", name="Documentation").click()
    await expect(opened.locator("main h1")).to_be_visible()
    assert opened.url == f"{url}/docs"
    await opened.get_by_role("link", name="Chat").click()
    await expect(opened.locator("#question")).to_be_visible()
    assert opened.url == f"{url}/"

    await tab.page.locator("#threads > li").hover()
    await tab.page.locator("#threads [data-part=delete]").click()
    await tab.page.locator("#delete-dialog [data-part=submit]").click()
    await expect(tab.page.locator("#threads > li")).to_have_count(0)


@pytest.mark.nightly
async def test_every_link_and_picture_of_the_documentation_is_below_the_path(
    tab: Tab, url: str
) -> None:
    one_in_each_folder = {name.rpartition("/")[0]: name for name in pages(documentation_root())}
    for name in ("", *one_in_each_folder.values()):
        await tab.page.goto(f"{url}/docs/{name}")
        await expect(tab.page.locator("main")).not_to_have_attribute("aria-busy", "true")
        links = await tab.page.locator("a[href]").evaluate_all("ns => ns.map(n => n.href)")
        inside = [link for link in links if link.startswith(url.removesuffix(PREFIX))]
        assert inside
        assert [link for link in inside if not link.startswith(f"{url}/")] == [], name
        pictures = await tab.page.locator("img").evaluate_all("ns => ns.map(n => n.src)")
        assert all(picture.startswith(f"{url}/docs/") for picture in pictures), name
