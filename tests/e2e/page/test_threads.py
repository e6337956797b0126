"""The list of threads: newest first, by pages; renamed and deleted, also for the other tab."""

import pytest
from playwright.async_api import Locator, Route, expect

from tests.e2e.page.browser import Tab
from tests.e2e.page.puppets import Puppets

pytestmark = pytest.mark.anyio

PAGE = 30
"""Threads that the page loads at once."""


def _rows(tab: Tab) -> Locator:
    return tab.page.locator("#threads > li")


def _titles(tab: Tab) -> Locator:
    return tab.page.locator("#threads [data-part=title]")


async def _converse(tab: Tab, puppet: Puppets, *questions: str) -> None:
    """Have a conversation about each question, one after the other."""
    for question in questions:
        await tab.page.locator("#new-thread").click()
        await tab.ask(question)
        run = await puppet.next(question)
        await run.say(f"This is about {question}.")
        run.end()
        await tab.run("finished")
        await expect(tab.of("answer")).to_have_text(f"This is about {question}.")
        await expect(_titles(tab).first).to_have_text(question)


async def test_conversations_are_listed_and_opened(tab: Tab, puppet: Puppets) -> None:
    await expect(tab.page.locator("#no-threads")).to_be_visible()
    await _converse(tab, puppet, "apples", "pears", "plums")
    await expect(_titles(tab)).to_have_text(["plums", "pears", "apples"])
    await _rows(tab).nth(2).locator("a").click()
    await expect(tab.of("answer")).to_have_text("This is about apples.")
    await expect(_rows(tab).nth(2).locator("a")).to_have_attribute("aria-current", "page")
    await expect(tab.page.locator("#title")).to_have_text("apples")
    await tab.shows_the_log()

    await tab.ask("apples, again")
    run = await puppet.next("apples, again")
    await expect(_titles(tab)).to_have_text(["apples", "plums", "pears"])
    await expect(_rows(tab).first.locator("[data-part=working]")).to_be_visible()
    await tab.picture("threads")
    await _rows(tab).nth(1).locator("a").click()
    await expect(tab.of("answer")).to_have_text("This is about plums.")
    tab.visitor.tolerate("ERR_INTERNET_DISCONNECTED")
    async with tab.page.expect_event("requestfailed"):  # nobody has asked, so nobody is told
        await tab.visitor.context.set_offline(True)
    await tab.visitor.context.set_offline(False)
    await run.say("More about apples.")
    run.end()
    await expect(_rows(tab).first.locator("[data-part=working]")).to_be_hidden()
    await expect(tab.page.locator("#notice")).to_be_hidden()
    await tab.page.go_back()
    await expect(tab.of("answer").last).to_have_text("More about apples.")
    await tab.run("finished")
    await tab.shows_the_log()
    await expect(_rows(tab).first.locator("[data-part=working]")).to_be_hidden()


async def test_another_conversation_does_not_wait_for_the_slow_drawing_of_the_one_before(
    tab: Tab, puppet: Puppets
) -> None:
    await _converse(tab, puppet, "apples")
    await tab.ask("much")
    run = await puppet.next("much")
    await tab.run("running")
    position = await tab.log.get_attribute("data-position") or ""
    await tab.page.evaluate(
        """() => {
          const now = performance.now.bind(performance);
          const words = () => document.querySelector("#log").textContent.includes("Very much.");
          let late = 0; // As if the drawing of these words took a hundred seconds.
          performance.now = () => now() + (late += words() ? 100_000 : 0);
        }"""
    )
    await run.say("Very much.")
    await expect(tab.log).not_to_have_attribute("data-position", position)
    await tab.page.locator("#new-thread").click()
    await expect(tab.page.locator("#title")).to_have_text("New conversation")
    await expect(tab.page.locator("#welcome")).to_be_visible()
    await _rows(tab).first.locator("a").click()
    await expect(tab.page.locator("#welcome")).to_be_hidden()
    run.end()


async def test_a_draft_stays_with_its_conversation(tab: Tab, puppet: Puppets) -> None:
    await _converse(tab, puppet, "apples")
    await tab.field.fill("half a quest")
    await tab.page.locator("#new-thread").click()
    await expect(tab.field).to_have_value("")
    await tab.page.reload()
    await expect(tab.field).to_have_value("")
    await _rows(tab).first.locator("a").click()
    await expect(tab.field).to_have_value("half a quest")


async def test_renaming(tab: Tab, puppet: Puppets) -> None:
    await _converse(tab, puppet, "apples")
    other = await tab.visitor.tab(f"#thread={await tab.thread()}")
    await expect(other.page.locator("#title")).to_have_text("apples")
    await tab.page.bring_to_front()
    row = _rows(tab).first
    await row.hover()
    await row.locator("[data-part=rename]").click()
    field = tab.page.locator("#rename-dialog [data-part=title]")
    await expect(field).to_have_value("apples")
    await tab.picture("rename")
    await field.fill("  Fruit & <b>more</b>  ")
    await field.press("Enter")
    await expect(_titles(tab).first).to_have_text("Fruit & <b>more</b>")
    await expect(tab.page.locator("#title")).to_have_text("Fruit & <b>more</b>")
    await other.page.reload()
    await expect(other.page.locator("#title")).to_have_text("Fruit & <b>more</b>")

    await row.locator("[data-part=rename]").click()
    await field.fill("no, rather not")
    await field.press("Escape")
    await expect(tab.page.locator("#rename-dialog")).to_be_hidden()
    await expect(_titles(tab).first).to_have_text("Fruit & <b>more</b>")


async def test_deleting_tells_the_other_tab(tab: Tab, puppet: Puppets) -> None:
    await _converse(tab, puppet, "apples", "pears")
    thread = await tab.thread()
    other = await tab.visitor.tab(f"#thread={thread}")
    await expect(other.of("answer")).to_have_text("This is about pears.")
    await tab.page.bring_to_front()
    row = _rows(tab).first
    await row.hover()
    await row.locator("[data-part=delete]").click()
    await expect(tab.page.locator("#delete-dialog [data-part=name]")).to_have_text("pears")
    await tab.picture("delete")
    await tab.page.locator("#delete-dialog [data-part=cancel]").click()
    await expect(_rows(tab)).to_have_count(2)
    await row.hover()
    await row.locator("[data-part=delete]").click()
    await tab.page.locator("#delete-dialog [data-part=submit]").click()
    for each in (tab, other):
        await expect(_titles(each)).to_have_text(["apples"])
    await expect(tab.page.locator("#welcome")).to_be_visible()
    await expect(other.page.locator("#notice-text")).to_have_text("This conversation was deleted.")
    assert await tab.visitor.get(f"/threads/{thread}") is None
    await expect(other.page.locator("#title")).to_have_text("pears")
    await _is_closed(other)
    await other.page.reload()
    await expect(other.page.locator("#notice-text")).to_contain_text("There is no such")
    await expect(other.page.locator("#title")).to_have_text("No such conversation")
    await _is_closed(other)
    assert await other.pieces() == []
    await other.picture("unknown")
    await tab.page.bring_to_front()
    await tab.page.go_back()
    await expect(tab.page.locator("#title")).to_have_text("No such conversation")
    await _is_closed(tab)
    await tab.page.locator("#new-thread").click()
    await expect(tab.page.locator("#title")).to_have_text("New conversation")
    await expect(tab.field).to_be_focused()


async def _is_closed(tab: Tab) -> None:
    """Fail if the page offers to ask something."""
    await expect(tab.page.locator("#barred")).to_contain_text("Nothing can be asked here.")
    await expect(tab.field).to_be_disabled()
    await expect(tab.field).to_be_hidden()


async def _slowly(route: Route) -> None:
    """Let a request through once the field has the focus."""
    await expect(route.request.frame.page.locator("#question")).to_be_focused()
    await route.continue_()


async def test_older_conversations_come_by_pages(tab: Tab) -> None:
    for number in range(2 * PAGE + 5):
        await tab.visitor.send("POST", "/threads", {"id": f"t{number}", "title": f"Title {number}"})
    await tab.page.reload()
    await expect(_rows(tab)).to_have_count(PAGE)
    more = tab.page.locator("#more-threads")
    await more.click()
    await expect(_rows(tab)).to_have_count(2 * PAGE)
    await expect(more).to_be_focused()
    await more.click()
    await expect(_rows(tab)).to_have_count(2 * PAGE + 5)
    await expect(more).to_be_hidden()
    await expect(_rows(tab).nth(2 * PAGE).locator("a")).to_be_focused()
    await tab.page.reload()
    await tab.page.route("**/threads?*before=*", _slowly, times=1)
    await more.click()
    await tab.field.focus()
    await expect(_rows(tab)).to_have_count(2 * PAGE)
    await expect(tab.field).to_be_focused()
    await more.click()
    await expect(_rows(tab)).to_have_count(2 * PAGE + 5)
    titles = await _titles(tab).all_inner_texts()
    assert titles == [f"Title {number}" for number in reversed(range(2 * PAGE + 5))]
    await tab.picture("many-threads")
    await _rows(tab).nth(1).hover()
    await _rows(tab).nth(1).locator("[data-part=delete]").click()
    await tab.page.locator("#delete-dialog [data-part=submit]").click()
    await expect(_rows(tab)).to_have_count(2 * PAGE + 4)
    await expect(tab.page.locator("#new-thread")).to_be_focused()
