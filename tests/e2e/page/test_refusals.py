"""Refusals: what the server does not do is told in words, where it belongs, with a way out."""

import pytest
from playwright.async_api import expect

from tests.cable import cable
from tests.e2e.page.browser import Tab
from tests.e2e.page.conftest import FRAME_BYTES, Meet
from tests.e2e.page.puppets import Puppets
from tests.live import ServerProcess

pytestmark = pytest.mark.anyio


async def test_what_is_asked_of_a_busy_agent_is_kept_and_the_page_says_why(
    tab: Tab, puppet: Puppets
) -> None:
    await tab.ask("Hello")
    run = await puppet.next("Hello")
    await expect(tab.page.locator("#keys")).to_contain_text("not while the agent works")
    await tab.ask("And then?")
    notice = tab.page.locator("#notice-text")
    await expect(notice).to_contain_text("still busy in this conversation")
    await expect(tab.field).to_have_value("And then?")
    await tab.picture("busy-reject")
    close = tab.page.locator("#notice-close")
    await close.press("Enter")
    await expect(notice).to_be_hidden()
    await expect(tab.field).to_be_focused()
    await tab.field.press("Enter")
    await close.focus()
    run.end()
    await tab.run("finished")
    await expect(notice).to_be_hidden()
    await expect(tab.field).to_be_focused()
    await tab.field.press("Enter")
    run = await puppet.next("And then?")
    run.end()
    await tab.run("finished")


async def test_what_is_asked_of_an_agent_that_queues_is_shown_waiting(
    tab: Tab, puppet: Puppets
) -> None:
    await tab.page.select_option("#agent", "patient")
    await tab.ask("First")
    first = await puppet.next("First")
    await tab.run("running")
    await expect(tab.page.locator("#keys")).to_contain_text("to wait its turn")
    await tab.field.fill("Second")
    await expect(tab.page.locator("#send")).to_be_enabled()
    await tab.page.locator("#send").click()
    said = tab.of("said", "Second")
    await expect(said).to_have_attribute("data-delivery", "queued")
    await expect(said.locator("[data-part=queued]")).to_be_visible()
    await expect(tab.field).to_have_value("")
    await tab.picture("busy-enqueue")
    await tab.page.reload()
    await expect(said).to_have_attribute("data-delivery", "queued")
    await first.say("One.")
    first.end()
    second = await puppet.next("Second")
    await expect(said).to_have_attribute("data-delivery", "sent")
    await second.say("Two.")
    second.end()
    await tab.run("finished")
    await tab.shows_the_log()


async def test_what_waits_can_be_cancelled(tab: Tab, puppet: Puppets) -> None:
    await tab.page.select_option("#agent", "patient")
    await tab.ask("First")
    first = await puppet.next("First")
    await tab.run("running")
    await tab.ask("Second")
    said = tab.of("said", "Second")
    await said.locator("[data-part=call-off]").click()
    await expect(said).to_have_attribute("data-delivery", "called-off")
    await expect(tab.field).to_be_focused()
    await tab.picture("busy-called-off")
    first.end()
    await tab.run("cancelled")
    await expect(said).to_have_attribute("data-delivery", "sent")
    await expect(tab.of("ending")).to_have_count(1)
    await tab.shows_the_log()


@pytest.mark.nightly
async def test_what_waits_in_another_conversation_is_kept_and_goes_with_it(
    tab: Tab, puppet: Puppets
) -> None:
    page = tab.page
    await page.select_option("#agent", "patient")
    await tab.ask("First")
    first = await puppet.next("First")
    await tab.run("running")
    thread = await tab.thread()
    await tab.ask("Second")
    said = tab.of("said", "Second")
    await expect(said).to_have_attribute("data-delivery", "queued")
    row = page.locator(f"#threads > li[data-thread='{thread}']")
    for question in ("Third", "Fourth"):
        await page.locator("#new-thread").click()
        await page.reload()
        await tab.connection("live")
        await page.select_option("#agent", "puppet")
        await tab.ask(question)  # its answer comes after that to what was sent again
        (await puppet.next(question)).end()
        await tab.run("finished")
        if question == "Third":
            await row.locator("[data-part=link]").click()
            await expect(said).to_have_attribute("data-delivery", "queued")
            await page.locator("#new-thread").click()
            await row.hover()
            await row.locator("[data-part=delete]").click()
            await page.locator("#delete-dialog [data-part=submit]").click()
            await first.gone()
    titles = page.locator("#threads [data-part=title]")
    await expect(titles).to_have_text(["Fourth", "Third"])


async def test_what_is_asked_of_an_agent_that_can_be_interrupted_stops_the_answer(
    tab: Tab, puppet: Puppets
) -> None:
    await tab.page.select_option("#agent", "pushy")
    await tab.ask("First")
    first = await puppet.next("First")
    await first.begin("Well, ")
    await tab.run("running")
    await expect(tab.page.locator("#keys")).to_contain_text("stops this answer")
    await tab.ask("No, second")
    await first.gone()
    second = await puppet.next("No, second")
    await expect(tab.of("ending")).to_have_attribute("data-status", "cancelled")
    await second.say("Two.")
    second.end()
    await tab.run("finished")
    await tab.shows_the_log()


@pytest.mark.nightly
async def test_a_busy_thread(meet: Meet, server: ServerProcess, puppet: Puppets) -> None:
    visitor = await meet()
    tab = await visitor.tab()
    await tab.ask("Hello")
    run = await puppet.next("Hello")
    run.end()
    await tab.run("finished")
    async with cable(server.port) as wire:
        late = await visitor.tab(f"#thread={await tab.thread()}", url=wire.url)
        await late.run("finished")
        wire.hush()
        await tab.page.bring_to_front()
        await tab.ask("I was first")
        run = await puppet.next("I was first")
        await tab.run("running")
        await late.page.bring_to_front()
        await late.ask("So was I")
        wire.unhush()
        said = late.of("said", "So was I")
        await expect(said).to_have_attribute("data-delivery", "failed")
        await expect(said.locator("[data-part=problem]")).to_have_text(
            "The agent is still busy in this conversation. Wait for it, or stop it."
        )
        await late.picture("busy")
        run.end()
        await late.run("finished")
        await said.locator("[data-part=resend]").click()
        run = await puppet.next("So was I")
        await run.say("Now you are.")
        run.end()
        for each in (tab, late):
            await each.run("finished")
        assert await tab.shows_the_log() == await late.shows_the_log()


async def test_a_question_that_is_too_long(tab: Tab, puppet: Puppets) -> None:
    await tab.ask("x" * FRAME_BYTES)
    said = tab.of("said")
    await expect(said).to_have_attribute("data-delivery", "failed")
    await expect(said.locator("[data-part=problem]")).to_contain_text(
        "This is too long for the server. Make it shorter."
    )
    await expect(said.locator("[data-part=resend]")).to_be_hidden()
    await said.locator("[data-part=take-back]").click()
    await expect(tab.of("said")).to_have_count(0)
    await expect(tab.field).to_have_value("x" * FRAME_BYTES)
    await expect(tab.field).to_be_focused()
    await tab.ask("short")
    run = await puppet.next("short")
    run.end()
    await tab.run("finished")
    await tab.shows_the_log()


async def test_an_agent_that_is_not_there(tab: Tab) -> None:
    await tab.page.evaluate('document.getElementById("agent").append(new Option("ghost"))')
    await tab.page.select_option("#agent", "ghost")
    await tab.ask("Boo")
    said = tab.of("said")
    await expect(said).to_have_attribute("data-delivery", "failed")
    await expect(said.locator("[data-part=problem]")).to_contain_text(
        "The server has no agent of this name."
    )
    await expect(tab.page.locator("#tail")).to_be_hidden()
    await tab.picture("unknown-agent")
    assert await tab.visitor.get("/threads") == {"threads": [], "next": None}


async def test_a_thread_that_was_deleted_elsewhere(tab: Tab, puppet: Puppets) -> None:
    await tab.ask("Soon gone")
    run = await puppet.next("Soon gone")
    await run.babble()
    await expect(tab.of("answer")).to_contain_text("word3 ")
    await tab.visitor.send("DELETE", f"/threads/{await tab.thread()}")
    await expect(tab.page.locator("#notice-text")).to_have_text("This conversation was deleted.")
    await run.gone()
    await expect(tab.field).to_be_disabled()
    await expect(tab.page.locator("#stop")).to_be_hidden()
    await expect(tab.page.locator("#working")).to_be_hidden()
    await expect(tab.page.locator("#threads li")).to_have_count(0)
    await tab.picture("deleted")
    await tab.page.locator("#new-thread").click()
    await expect(tab.page.locator("#notice")).to_be_hidden()
    await tab.ask("Afresh")
    run = await puppet.next("Afresh")
    run.end()
    await tab.run("finished")
    await tab.shows_the_log()
