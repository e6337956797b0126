"""Whoever sits down at a browser finds nothing there of who sat there before."""

import pytest

from tests.e2e.page.browser import Visitor
from tests.e2e.page.conftest import Meet

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
