"""Questions of the agent: approved, rejected and answered once, whoever looks on."""

import json
from typing import Any

import pytest
from ag_ui.core import Interrupt, RunFinishedEvent, RunFinishedInterruptOutcome
from playwright.async_api import expect

from tests.cable import cable
from tests.e2e.page.browser import Tab
from tests.e2e.page.conftest import Meet
from tests.e2e.page.puppets import Puppets
from tests.live import ServerProcess

pytestmark = pytest.mark.anyio


async def _asked_by_the_docs_agent(tab: Tab) -> None:
    """Let the docs agent come to its question."""
    await tab.page.select_option("#agent", "docs")
    await tab.ask("Delete everything")
    await tab.run("awaiting")
    await expect(tab.of("question").locator("[data-part=approve]")).to_be_visible()


async def test_an_approval_in_one_tab_is_seen_in_the_other(tab: Tab) -> None:
    await _asked_by_the_docs_agent(tab)
    await expect(tab.page.locator("#threads [data-part=asking]")).to_be_visible()
    other = await tab.visitor.tab(f"#thread={await tab.thread()}")
    await expect(other.of("question").locator("[data-part=approve]")).to_be_visible()
    await tab.page.bring_to_front()
    await tab.picture("approval")
    await tab.page.reload()
    await tab.of("question").locator("[data-part=approve]").click()
    for each in (tab, other):
        await each.run("finished")
        await expect(each.of("question")).to_have_attribute("data-verdict", "approved")
        await expect(each.of("question").locator("[data-part=approve]")).to_be_hidden()
        await expect(each.of("question").locator("[data-part=verdict]")).to_have_text(
            "Approved by you."
        )
        await expect(each.of("toolcall")).to_have_attribute("data-tool", "rebuild_index")
    assert await tab.shows_the_log() == await other.shows_the_log()
    await tab.picture("approved")
    await tab.page.reload()
    await expect(tab.of("question")).to_have_attribute("data-verdict", "approved")
    await expect(tab.of("question").locator("[data-part=verdict]")).to_have_text("Approved by you.")
    await tab.shows_the_log()


async def test_a_rejection_is_kept(tab: Tab) -> None:
    await _asked_by_the_docs_agent(tab)
    await tab.of("question").locator("[data-part=reject]").click()
    await tab.run("finished")
    await expect(tab.of("question")).to_have_attribute("data-verdict", "rejected")
    await expect(tab.of("toolcall")).to_have_count(0)
    await expect(tab.of("answer").last).to_contain_text("I did nothing")
    await tab.page.reload()
    await expect(tab.of("question")).to_have_attribute("data-verdict", "rejected")
    await expect(tab.of("question").locator("[data-part=reject]")).to_be_hidden()
    await tab.shows_the_log()


async def test_the_loser_of_a_race_learns_what_was_decided(
    meet: Meet, server: ServerProcess
) -> None:
    visitor = await meet()
    winner = await visitor.tab()
    await _asked_by_the_docs_agent(winner)
    async with cable(server.port) as wire:
        loser = await visitor.tab(f"#thread={await winner.thread()}", url=wire.url)
        await expect(loser.of("question").locator("[data-part=reject]")).to_be_visible()
        wire.hush()
        await winner.page.bring_to_front()
        await winner.of("question").locator("[data-part=approve]").click()
        await winner.run("finished")
        await loser.page.bring_to_front()
        await loser.of("question").locator("[data-part=reject]").click()
        wire.unhush()
        await loser.run("finished")
        await expect(loser.of("question")).to_have_attribute("data-verdict", "approved")
        await expect(loser.of("question")).to_contain_text("before your answer came")
        assert await winner.shows_the_log() == await loser.shows_the_log()


FORMS: list[tuple[str, dict[str, Any], str, Any, str]] = [
    ("text", {"type": "string"}, "Ada", "Ada", "answered"),
    ("choice", {"enum": ["red", "green", 3]}, "1", "green", "answered"),
    ("choice", {"type": "boolean"}, "1", False, "answered"),
    ("json", {"type": "object", "properties": {"n": {"type": "integer"}}}, '{"n": 7}', {"n": 7},
     "answered"),
]  # fmt: skip


async def test_a_question_is_answered_in_the_form_that_its_schema_asks_for(
    tab: Tab, puppet: Puppets
) -> None:
    await tab.ask("Ask me")
    run = await puppet.next("Ask me")
    for number, (form, schema, typed, payload, verdict) in enumerate(FORMS):
        asked = Interrupt(id=f"q{number}", reason="input", message="Which?", response_schema=schema)
        await run.play(
            RunFinishedEvent(
                thread_id="", run_id="", outcome=RunFinishedInterruptOutcome(interrupts=[asked])
            )
        )
        card = tab.of("question").last
        await expect(card).to_have_attribute("data-interrupt", f"q{number}")
        await expect(card).to_have_attribute("data-form", form)
        field = card.locator(".reply")
        if form == "choice":
            await field.select_option(typed)
        else:
            await field.fill("{" if form == "json" else "")
            if form == "json":
                await card.locator("[data-part=submit]").click()
                await expect(card.locator("[data-part=problem]")).to_contain_text("not JSON")
                await tab.picture("question-json")
            await field.fill(typed)
        await card.locator("[data-part=submit]").click()
        run = await puppet.next("Ask me")
        assert run.resume == [payload]
        await expect(card).to_have_attribute("data-verdict", verdict)
    asked = Interrupt(id="last", reason="input", message="More?", response_schema=FORMS[0][1])
    await run.play(
        RunFinishedEvent(
            thread_id="", run_id="", outcome=RunFinishedInterruptOutcome(interrupts=[asked])
        )
    )
    await tab.page.locator("[data-interrupt=last] [data-part=decline]").click()
    run = await puppet.next("Ask me")
    await run.say(json.dumps(run.resume))
    run.end()
    await tab.run("finished")
    await expect(tab.of("question").last).to_have_attribute("data-verdict", "declined")
    await tab.shows_the_log()
