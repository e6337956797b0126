"""Questions of the agent: approved, rejected and answered once, whoever looks on."""

import json
import re
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

JS = "text/javascript"


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


async def test_an_open_question_is_marked_in_the_list_until_it_is_answered(
    tab: Tab, puppet: Puppets
) -> None:
    await _asked_by_the_docs_agent(tab)
    row = tab.page.locator("#threads > li")
    await tab.page.select_option("#agent", "puppet")
    await tab.ask("Something else")
    run = await puppet.next("Something else")
    await expect(row).to_have_attribute("data-run", "running")
    await expect(row.locator("[data-part=asking]")).to_be_visible()
    run.end()
    await tab.run("finished")
    await expect(row).to_have_attribute("data-run", "finished")
    await expect(row.locator("[data-part=asking]")).to_be_visible()
    await tab.of("question").locator("[data-part=reject]").click()
    await expect(row.locator("[data-part=asking]")).to_be_hidden()


@pytest.mark.nightly
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


@pytest.mark.nightly
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


FORMS: list[tuple[str, dict[str, Any] | None, str, Any]] = [
    ("text", None, "Ada", "Ada"),
    ("text", {"type": "string"}, "Ada", "Ada"),
    ("number", {"type": "integer"}, "7", 7),
    ("choice", {"enum": ["red", "green", 3]}, "1", "green"),
    ("json", {"type": "array"}, "[7]", [7]),
]


def _asks(id: str, schema: dict[str, Any] | None, reason: str = "input") -> RunFinishedEvent:
    """Return what ends a run with a question."""
    asked = Interrupt(id=id, reason=reason, message="Which?", response_schema=schema)
    outcome = RunFinishedInterruptOutcome(interrupts=[asked])
    return RunFinishedEvent(thread_id="", run_id="", outcome=outcome)


async def test_a_question_is_answered_in_the_form_that_its_schema_asks_for(
    tab: Tab, puppet: Puppets
) -> None:
    await tab.ask("Ask me")
    run = await puppet.next("Ask me")
    for number, (form, schema, typed, payload) in enumerate(FORMS):
        await run.play(_asks(f"q{number}", schema))
        card = tab.of("question").last
        await expect(card).to_have_attribute("data-interrupt", f"q{number}")
        await expect(card).to_have_attribute("data-form", form)
        field, wrong = card.locator(".reply"), card.locator("[data-part=wrong]")
        await expect(field).to_have_value("[]" if form == "json" else "")
        if form == "json":
            await field.fill("{")
        await card.locator("[data-part=submit]").click()
        await expect(wrong).to_contain_text("not JSON" if form == "json" else re.compile(r".+"))
        await expect(field).to_be_focused()
        if form == "choice":
            await field.select_option(typed)
        else:
            await field.fill(typed)
        await card.locator("[data-part=submit]").click()
        run = await puppet.next("Ask me")
        assert run.resume == [payload]
        await expect(card).to_have_attribute("data-verdict", "answered")
    await run.play(_asks("last", {"type": "string"}))
    await tab.page.locator("[data-interrupt=last] [data-part=decline]").click()
    run = await puppet.next("Ask me")
    await run.say(json.dumps(run.resume))
    run.end()
    await tab.run("finished")
    await expect(tab.of("question").last).to_have_attribute("data-verdict", "declined")
    await tab.shows_the_log()


async def test_enter_answers_a_question_for_a_text_and_begins_no_line(
    tab: Tab, puppet: Puppets
) -> None:
    await tab.ask("Name")
    run = await puppet.next("Name")
    await run.play(_asks("name", None))
    field = tab.of("question").locator(".reply")
    await field.press_sequentially("Ada")
    await field.press("Shift+Enter")
    await field.press_sequentially("Lovelace")
    await field.press("Enter")
    run = await puppet.next("Name")
    assert run.resume == ["Ada\nLovelace"]
    run.end()
    await tab.run("finished")


@pytest.mark.parametrize(
    ("button", "payload"),
    [("approve", True), pytest.param("reject", False, marks=pytest.mark.nightly)],
)
async def test_a_yes_or_no_is_one_of_two_buttons_and_never_a_click_on_answer(
    tab: Tab, puppet: Puppets, button: str, payload: bool
) -> None:
    await tab.ask("Sure")
    run = await puppet.next("Sure")
    await run.play(_asks("sure", {"type": "boolean", "default": True}))
    card = tab.of("question")
    await expect(card).to_have_attribute("data-form", "yesno")
    await expect(card.get_by_role("button")).to_have_text(["Yes", "No"])
    await card.locator(f"[data-part={button}]").click()
    run = await puppet.next("Sure")
    assert run.resume == [payload]
    run.end()
    await tab.run("finished")
    said = "Answered by you: Yes" if payload else "Answered by you: No"
    await expect(card.locator("[data-part=verdict]")).to_have_text(said)


async def test_an_answer_without_a_connection_is_said_to_wait(
    meet: Meet, server: ServerProcess, puppet: Puppets
) -> None:
    visitor = await meet()
    visitor.tolerate("ERR_|WebSocket")  # what Chromium says of a dead network
    async with cable(server.port) as wire:
        tab = await visitor.tab(url=wire.url)
        await tab.ask("Sure")
        run = await puppet.next("Sure")
        await run.play(_asks("sure", {"type": "boolean"}))
        card = tab.of("question")
        await expect(card).to_have_attribute("data-form", "yesno")
        await wire.pull()
        await expect(tab.body).not_to_have_attribute("data-connection", "live")
        await card.locator("[data-part=approve]").click()
        waits = card.get_by_text("Keep this page open: this is sent when the connection is back.")
        await expect(waits).to_be_visible()
        await wire.plug()
        await tab.try_now()
        run = await puppet.next("Sure")
        assert run.resume == [True]
        run.end()
        await tab.run("finished")
        await expect(card.locator("[data-part=verdict]")).to_have_text("Answered by you: Yes")


async def test_what_cannot_be_drawn_does_not_end_all_drawing(tab: Tab, puppet: Puppets) -> None:
    page = tab.page
    broken = 'export function question() { throw new Error("cannot be drawn"); }'
    await page.route("**/question.js", lambda route: route.fulfill(body=broken, content_type=JS))
    tab.visitor.tolerate("cannot be drawn")
    await page.reload()
    await tab.connection("live")
    await tab.ask("Sure")
    run = await puppet.next("Sure")
    await run.play(_asks("sure", {"type": "boolean"}))
    await expect(page.locator("#threads [data-part=asking]")).to_be_visible()
    await tab.visitor.complains("cannot be drawn")
    await page.locator("#new-thread").click()
    await expect(page.locator("#welcome")).to_be_visible()
    await tab.ask("Plain")
    (await puppet.next("Plain")).end()
    await tab.run("finished")


ORDER = {
    "type": "object",
    "title": "Order",
    "required": ["name", "size", "agree"],
    "properties": {
        "name": {"type": "string", "title": "Your name", "description": "As on the passport."},
        "size": {"$ref": "#/$defs/Size"},
        "count": {"type": "integer", "title": "Count", "minimum": 1, "multipleOf": 2, "default": 2},
        "agree": {"type": "boolean", "title": "Agree to the terms", "default": True},
        "when": {"type": "string", "title": "When", "format": "date"},
        "parts": {"type": "array", "title": "Parts", "items": {"type": "string"}},
    },
    "$defs": {"Size": {"enum": ["S", "M"], "title": "Size"}},
}


async def test_an_object_is_asked_for_field_by_field_and_checked_by_the_server(
    tab: Tab, puppet: Puppets
) -> None:
    await tab.ask("Order")
    run = await puppet.next("Order")
    await run.play(_asks("order", ORDER))
    card = tab.of("question")
    await expect(card).to_have_attribute("data-form", "fields")
    name, count = card.get_by_label("Your name"), card.get_by_label("Count (optional)")
    agree, parts = card.get_by_label("Agree to the terms"), card.get_by_label("Parts (optional)")
    await expect(name).to_have_accessible_description("As on the passport.")
    await expect(count).to_have_value("2")
    await expect(agree).to_have_value("")  # though the default is a yes
    await card.locator("[data-part=submit]").click()
    await expect(name).to_be_focused()
    for wrong in (name, card.get_by_label("Size"), agree):
        await expect(wrong).to_have_attribute("aria-invalid", "true")
    await expect(count).to_have_attribute("aria-invalid", "false")
    await name.fill("Ada")
    await card.get_by_label("Size").select_option(label="M")
    await agree.select_option(label="Yes")
    await count.fill("3")
    await parts.fill('["lid"]')
    await card.get_by_label("When").fill("2026-12-24")
    await tab.picture("question-fields")
    await name.press("Enter")
    # This is what only the server looks at; the question stays open.
    await expect(card.locator("[data-name=count] [data-part=wrong]")).to_contain_text("multiple of")
    await expect(count).to_be_focused()
    await expect(name).to_be_enabled()
    await tab.picture("question-refused")
    await count.fill("4")
    await count.press("Enter")
    run = await puppet.next("Order")
    assert run.resume == [
        {
            "name": "Ada",
            "size": "M",
            "count": 4,
            "agree": True,
            "when": "2026-12-24",
            "parts": ["lid"],
        }
    ]
    run.end()
    await tab.run("finished")
    await expect(card.locator("[data-part=verdict]")).to_contain_text("name: Ada, size: M")
    await tab.shows_the_log()


@pytest.mark.parametrize(
    ("width", "height"), [pytest.param(1200, 800, marks=pytest.mark.nightly), (360, 640)]
)
async def test_a_form_that_does_not_fit_is_shown_from_its_question_on(
    tab: Tab, puppet: Puppets, width: int, height: int
) -> None:
    await tab.page.set_viewport_size({"width": width, "height": height})
    properties = {f"f{n}": {"type": "string", "title": f"Field {n}"} for n in range(16)}
    await tab.ask("Long")
    run = await puppet.next("Long")
    await run.say("Before you go on: " + "much. " * 300)
    await run.play(_asks("long", {"type": "object", "properties": properties}))
    card = tab.of("question")
    question, last = card.locator("[data-part=text]"), card.locator("[data-part=submit]")
    for again in (False, True):
        if again:
            await tab.page.reload()
        await expect(question).to_be_in_viewport(ratio=1)
        await expect(card.get_by_text("Field 0")).to_be_in_viewport(ratio=1)
        await expect(tab.page.locator("#to-bottom")).to_be_visible()
    await tab.picture(f"question-long-{width}")
    await tab.page.locator("#to-bottom").click()
    await expect(tab.log).to_be_focused()
    await expect(last).to_be_in_viewport(ratio=1)
    await expect(tab.page.locator("#to-bottom")).to_be_hidden()
    await card.get_by_label("Field 15").fill("x")
    await expect(last).to_be_in_viewport(ratio=1)
    await last.click()
    run = await puppet.next("Long")
    await run.say("That was " + "long. " * 300 + "Done.")
    await expect(tab.page.locator("#to-bottom")).to_be_hidden()
    run.end()
    await tab.run("finished")
    below = "(log) => log.scrollHeight - log.scrollTop - log.clientHeight"
    assert await tab.log.evaluate(below) < 60


LATE_DRAWING = """(log) => new Promise((done) => {
  // No frame comes, so that the page draws after 250 ms: here right after the person has scrolled.
  window.requestAnimationFrame = () => 0;
  document.getElementById("agent").dispatchEvent(new Event("change"));
  setTimeout(() => { log.scrollTop = 40; }, 240);
  setTimeout(() => done(log.scrollTop), 300);
  for (const until = performance.now() + 400; performance.now() < until; );
})"""


async def test_a_drawing_undoes_no_scrolling_that_it_has_not_heard_of_yet(
    tab: Tab, puppet: Puppets
) -> None:
    await tab.ask("Long")
    run = await puppet.next("Long")
    await run.say("Before you go on: " + "much. " * 1_000)
    await run.play(_asks("long", {"type": "string"}))
    await expect(tab.of("question").locator("[data-part=submit]")).to_be_in_viewport(ratio=1)
    assert await tab.log.evaluate(LATE_DRAWING) == 40
