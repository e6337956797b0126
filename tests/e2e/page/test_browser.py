"""Browsers: what one keeps of who sat there before, which is nothing, and one without scripts."""

import pytest
from playwright.async_api import Browser, expect

from tests.e2e.page.browser import Visitor
from tests.e2e.page.conftest import Meet
from tests.live import ServerProcess

pytestmark = pytest.mark.anyio

KEPT = "() => [...Object.keys(localStorage), ...Object.keys(sessionStorage)]"


async def test_a_visitor_leaves_nothing_to_the_next(meet: Meet) -> None:
    visitor = await meet()
    tab = await visitor.tab()
    await tab.connection("live")
    await tab.field.fill("A draft")
    await tab.page.evaluate("() => localStorage.setItem('theme', 'dark')")
    await visitor.context.set_offline(True)
    user = await tab.page.locator("#user").text_content()
    await visitor.leave()

    following = Visitor(visitor.context, visitor.url)
    other = await following.tab()
    await other.connection("live")
    assert await other.page.locator("#user").text_content() != user
    assert await other.page.evaluate(KEPT) == []
    await following.leave()
    assert len(visitor.context.pages) == 1
    assert await visitor.context.cookies() == []


async def test_a_browser_without_scripts_is_told_what_is_missing(
    browser: Browser, server: ServerProcess
) -> None:
    """It said that it connects, for ever, and the documentation was empty."""
    page = await browser.new_page(java_script_enabled=False)
    for path in ("/", "/docs/agents"):
        await page.goto(f"{server.url}{path}")
        await expect(page.locator("noscript > p")).to_be_visible()
        await expect(page.get_by_text("Connecting")).to_be_hidden()
    for path in ("/docs", "/docs/agents"):
        await page.goto(f"{server.url}{path}")
        await page.locator("noscript a").click()
        await expect(page).to_have_url(f"{server.url}/docs/index.md")
    await page.close()
