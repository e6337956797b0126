"""The documentation on the server: every page is shown, and every link leads somewhere."""

import json
from urllib.parse import unquote, urldefrag

import pytest
from playwright.async_api import Page, expect

from netra_backend.agents.documentation import documentation_root, pages
from tests.e2e.page.browser import Tab
from tests.e2e.page.transcript import JsonObject

pytestmark = pytest.mark.anyio

READ = """
() => ({
  anchors: [...document.querySelectorAll("main [id]")].map((node) => node.id),
  links: [...document.querySelectorAll("a[href]")].map((link) => link.href),
  images: [...document.images].map((image) => [image.src, image.complete && image.naturalWidth]),
})
"""

QUESTIONS = (
    "Which close codes are there?",
    "How do I serve my own agent?",
    "What does the event frame look like?",
)


async def _read(page: Page, url: str) -> JsonObject:
    """Return what a page of the documentation has: anchors, links, images."""
    await page.goto(url)
    await expect(page.locator("main")).not_to_have_attribute("aria-busy", "true")
    await page.evaluate("Promise.all([...document.images].map((i) => i.decode().catch(() => 0)))")
    found: JsonObject = await page.evaluate(READ)
    return found


async def test_the_readme_shows_its_picture(tab: Tab) -> None:
    read = await _read(tab.page, f"{tab.visitor.url}/docs/readme")
    ((source, width),) = read["images"]
    assert source == f"{tab.visitor.url}/docs/page.png"
    assert width


@pytest.mark.nightly
async def test_every_page_is_shown_and_every_link_leads_somewhere(tab: Tab) -> None:
    root = f"{tab.visitor.url}/docs"
    found = {name: await _read(tab.page, f"{root}/{name}") for name in pages(documentation_root())}
    found[""] = await _read(tab.page, root)
    there = {tab.visitor.url}
    for name, read in found.items():
        assert read["anchors"], f"{name} has no heading"
        address = f"{root}/{name}".rstrip("/")
        there |= {address, *(f"{address}#{anchor}" for anchor in read["anchors"])}
    lost = []
    for name, read in found.items():
        lost += [(name, source) for source, width in read["images"] if not width]
        inside = [link for link in read["links"] if link.startswith(tab.visitor.url)]
        lost += [(name, link) for link in inside if unquote(link).rstrip("/") not in there]
        outside = set(read["links"]) - set(inside)
        assert all(link.startswith(("https://", "mailto:")) for link in outside), outside
    assert lost == [], "\n".join(map(str, lost))


async def test_a_page_that_is_not_there_says_so(tab: Tab) -> None:
    tab.visitor.tolerate("404")
    await tab.page.goto(f"{tab.visitor.url}/docs/nothing-of-the-kind")
    await expect(tab.page.locator("h1")).to_have_text("Not found")


@pytest.mark.nightly
async def test_the_links_of_the_docs_agent_lead_to_what_they_name(tab: Tab) -> None:
    await tab.page.select_option("#agent", "docs")
    links: set[str] = set()
    for count, question in enumerate(QUESTIONS, start=1):
        await tab.ask(question)
        await expect(tab.of("answer")).to_have_count(count)
        await tab.run("finished")
        links |= set(
            await tab.of("answer").last.locator("a[href]").evaluate_all("ns => ns.map(n => n.href)")
        )
        result = await tab.of("toolcall").last.locator("[data-part=result]").text_content()
        links |= {f"{tab.visitor.url}/{hit['url']}" for hit in json.loads(result or "")["hits"]}
    await tab.shows_the_log()
    assert f"{tab.visitor.url}/docs/protocol#close-codes" in links

    async with tab.visitor.context.expect_page() as opening:
        await tab.page.locator(".answer a[href$='#close-codes']").first.click()
    opened = await opening.value
    await expect(opened.locator("main :target")).to_be_in_viewport()
    assert all(link.startswith(f"{tab.visitor.url}/docs/") for link in links), links
    for page in {urldefrag(link).url for link in links}:
        anchors = {urldefrag(link).fragment for link in links if urldefrag(link).url == page}
        found = await _read(opened, page)
        assert {unquote(anchor) for anchor in anchors if anchor} <= set(found["anchors"]), page
