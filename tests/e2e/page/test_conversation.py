"""The conversation: what the agent does is seen while it happens, and is what the log has."""

import asyncio
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from ag_ui.core import CustomEvent, StepFinishedEvent, StepStartedEvent
from playwright.async_api import expect

from netra_backend.agents.base import Reasoning, Text, ToolCall
from tests.e2e.page.browser import Tab
from tests.e2e.page.conftest import REPLAY_ENTRIES, Meet
from tests.e2e.page.puppets import Puppets

pytestmark = pytest.mark.anyio

ARGUMENTS = {"query": "kill -9", "limit": 3}

ASKS_AT_ONCE = """
addEventListener("DOMContentLoaded", () => {
  const field = document.getElementById("question");
  field.value = "At once";
  field.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter" }));
});
"""
"""Asks when the page has come to life, and before there can have been a frame of it."""

DRAWS_SLOWLY = """
const [now, frame] = [performance.now.bind(performance), requestAnimationFrame];
let drawing = false;
let lost = 0;
performance.now = () => now() + (drawing ? (lost += 100_000) : lost);
globalThis.requestAnimationFrame = (draw) => frame((at) => {
  drawing = true;
  draw(at);
  drawing = false;
});
"""
"""Lets each drawing seem to take so long that the pause after it outlasts the test."""


async def test_an_answer_is_seen_while_it_is_made(tab: Tab, puppet: Puppets) -> None:
    await tab.ask("What survives?")
    run = await puppet.next("What survives?")
    thought, call, text = Reasoning(), ToolCall("search"), Text()

    await run.play(StepStartedEvent(step_name="look"), *thought.start(), *thought.add("I wonder"))
    thinking = tab.of("thinking")
    await expect(thinking.locator("p")).to_have_text("I wonder")
    await expect(thinking).to_have_attribute("open", "")
    await expect(tab.page.locator("#working")).to_have_attribute("data-step", "look")
    await run.play(*thought.add(" about it."), *thought.end())
    await expect(thinking).not_to_have_attribute("data-active", "")
    await expect(thinking.locator("p")).to_be_hidden()

    await run.play(*call.start(), *call.add('{"query": "kill'))
    tool = tab.of("toolcall")
    await expect(tool).to_have_attribute("data-status", "calling")
    await run.play(*call.add(' -9", "limit": 3}'), *call.end())
    await expect(tool).to_have_attribute("data-status", "running")
    await run.play(*call.result('{"hits": ["the log"]}'), StepFinishedEvent(step_name="look"))
    await expect(tool).to_have_attribute("data-status", "done")

    await run.play(*text.start(), *text.add("What is **writ"))
    answer = tab.of("answer").locator("[data-part=body]")
    await expect(answer).to_have_text("What is **writ")
    await expect(tab.body).to_have_attribute("data-run-status", "running")
    await run.play(*text.add("ten** survives."))
    await expect(answer).to_have_text("What is written survives.")
    await expect(answer.locator("strong")).to_have_text("written")
    await expect(tab.body).to_have_attribute("data-run-status", "running")
    await run.play(*text.end())
    run.end()
    await tab.run("finished")

    events = await tab.shows_the_log()
    assert events[-1]["type"] == "RUN_FINISHED"
    await expect(tab.page.locator("#working")).to_be_hidden()
    await expect(tab.page.locator("#title")).to_have_text("What survives?")


async def test_the_command_for_a_terminal_works_wherever_it_is_pasted(
    tab: Tab, puppet: Puppets, tmp_path: Path
) -> None:
    await tab.ask("Hello")
    run = await puppet.next("Hello")
    await run.say("你好")
    run.end()
    await tab.run("finished")
    name, *arguments = shlex.split(await tab.page.locator("#tail-command").inner_text())
    command = [str(Path(sys.executable).with_name(name)), *arguments, "--once"]
    tailed = await asyncio.to_thread(
        subprocess.run, command, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert tailed.returncode == 0, tailed.stderr
    assert "你好" in tailed.stdout
    assert "RUN_FINISHED" in tailed.stdout


async def test_thinking_and_tool_calls_unfold(tab: Tab, puppet: Puppets) -> None:
    await tab.ask("Look it up")
    run = await puppet.next("Look it up")
    await run.think("First this,\nthen that.")
    await run.call("search", ARGUMENTS, '{"hits": []}')
    await run.call("pay", {"account": 12345678901234567890, "to": "bob\u202eeve"}, "[1.0]")
    await run.call("clock", {}, "half past ten")
    await run.say("**Done:**\n\n```\n1 + 1\n```")
    run.end()
    await tab.run("finished")

    search, pay, clock = (tab.of("toolcall").nth(place) for place in range(3))
    await expect(search.locator("pre").first).to_be_hidden()
    await expect(search.locator("summary")).to_contain_text("query: kill -9, limit: 3")
    await expect(pay.locator("summary")).to_contain_text(
        r"account: 12345678901234567890, to: bob\u202eeve"
    )
    for fold in (tab.of("thinking"), search, pay, clock):
        await fold.locator("summary").click()
    await expect(tab.of("thinking").locator("p")).to_be_visible()
    await expect(tab.of("thinking").locator("p")).to_have_text("First this,\nthen that.")
    await expect(search.locator("[data-part=args]")).to_be_visible()
    await expect(search.locator("[data-part=args]")).to_contain_text('"query": "kill -9"')
    await expect(search.locator("[data-part=result]")).to_contain_text('"hits": []')
    await expect(pay.locator("[data-part=args]")).to_have_text(
        '{\n  "account": 12345678901234567890,\n  "to": "bob\\u202eeve"\n}'
    )
    await expect(clock.locator("[data-part=result]")).to_have_text("half past ten")
    await tab.picture("unfolded")
    await _copies(tab, "Copy the answer", "**Done:**\n\n```\n1 + 1\n```")
    await tab.page.evaluate("Object.defineProperty(navigator, 'clipboard', {})")  # without TLS
    await _copies(tab, "Copy the code", "1 + 1")
    await search.locator("summary").click()
    await expect(search.locator("[data-part=args]")).to_be_hidden()
    await tab.shows_the_log()


async def _copies(tab: Tab, label: str, text: str) -> None:
    """Fail unless the button copies this text."""
    button = tab.of("answer").get_by_label(label)
    await button.click()
    await expect(button).to_have_attribute("data-copied", "")
    await tab.field.fill("")
    await tab.field.press("Control+V")
    assert (await tab.field.input_value()).strip() == text


async def test_a_reload_in_the_middle_loses_nothing(tab: Tab, puppet: Puppets) -> None:
    await tab.ask("Tell me")
    run = await puppet.next("Tell me")
    thought, call, text = Reasoning(), ToolCall("search"), Text()

    await run.play(*thought.start(), *thought.add("Half a "))
    await expect(tab.of("thinking").locator("p")).to_have_text("Half a ")
    await tab.page.reload()
    await tab.connection("live")
    await tab.run("running")
    await tab.shows_the_log()
    await run.play(*thought.add("thought."), *thought.end())

    await run.play(*call.start(), *call.add('{"half": '))
    await expect(tab.of("toolcall")).to_have_attribute("data-status", "calling")
    await tab.page.reload()
    await expect(tab.of("toolcall")).to_have_attribute("data-status", "calling")
    await tab.shows_the_log()
    await run.play(*call.add("1}"), *call.end(), *call.result("2"))

    await run.play(*text.start(), *text.add("One half, "))
    await expect(tab.of("answer")).to_have_text("One half, ")
    await tab.page.reload()
    await expect(tab.of("answer")).to_have_text("One half, ")
    await expect(tab.of("answer")).to_have_attribute("data-open", "")
    await tab.shows_the_log()
    await run.play(*text.add("and the other."), *text.end())
    run.end()
    await tab.run("finished")
    await tab.shows_the_log()


@pytest.mark.nightly
async def test_a_question_is_sent_once_however_often_the_page_is_reloaded(
    tab: Tab, puppet: Puppets
) -> None:
    await tab.ask("Once")
    await tab.page.reload()
    run = await puppet.next("Once")
    await tab.page.reload()
    await run.say("I was asked once.")
    run.end()
    await tab.run("finished")
    events = await tab.shows_the_log()
    assert [event["type"] for event in events].count("RUN_STARTED") == 1
    await expect(tab.of("said")).to_have_count(1)


async def test_a_second_tab_joins_in_the_middle_and_both_end_equal(
    tab: Tab, puppet: Puppets
) -> None:
    await tab.ask("Both")
    run = await puppet.next("Both")
    await run.think("Two readers.")
    text = await run.begin("Seen by one, ")
    await expect(tab.of("answer")).to_have_text("Seen by one, ")
    other = await tab.visitor.tab(f"#thread={await tab.thread()}")
    await expect(other.of("answer")).to_have_text("Seen by one, ")
    await other.run("running")
    await run.play(*text.add("then by two."))
    for each in (tab, other):
        await expect(each.of("answer")).to_have_text("Seen by one, then by two.")
    await run.play(*text.end())
    run.end()
    for each in (tab, other):
        await each.run("finished")
    assert await tab.shows_the_log() == await other.shows_the_log()


@pytest.mark.nightly
async def test_a_question_from_another_tab_appears(tab: Tab, puppet: Puppets) -> None:
    await tab.ask("First")
    run = await puppet.next("First")
    run.end()
    await tab.run("finished")
    other = await tab.visitor.tab(f"#thread={await tab.thread()}")
    await other.run("finished")
    await other.ask("Second")
    run = await puppet.next("Second")
    await expect(tab.of("said").last.locator("[data-part=text]")).to_have_text("Second")
    await tab.run("running")
    await run.say("Heard.")
    run.end()
    await tab.run("finished")
    assert await tab.shows_the_log() == await other.shows_the_log()


@pytest.mark.nightly
async def test_a_stranger_sees_nothing_of_it(tab: Tab, puppet: Puppets, meet: Meet) -> None:
    await tab.ask("Secret")
    run = await puppet.next("Secret")
    text = await run.begin("Nobody else ")
    await expect(tab.of("answer")).to_have_text("Nobody else ")
    thread = await tab.thread()
    stranger = await meet()
    seen = await stranger.tab(f"#thread={thread}")
    unknown = await stranger.tab("#thread=there-is-none")
    for each in (seen, unknown):
        notice = each.page.locator("#notice-text")
        await expect(notice).to_have_text(
            "There is no such conversation, or it is not yours to see."
        )
        await expect(each.field).to_be_disabled()
    await run.play(*text.add("may read this."), *text.end())
    run.end()
    await tab.run("finished")
    await seen.page.reload()
    await expect(seen.page.locator("#notice")).to_be_visible()
    for each in (seen, unknown):
        assert await each.pieces() == []
        assert await each.page.locator("#threads li").count() == 0
        assert "Nobody" not in await each.page.content()
    assert await stranger.get(f"/threads/{thread}/events") is None
    assert await stranger.get(f"/threads/{thread}/messages") is None
    await tab.shows_the_log()


async def test_what_is_whole_is_drawn_though_drawings_take_long(tab: Tab, puppet: Puppets) -> None:
    for fruit in ("apples", "pears"):
        await tab.ask(fruit)
        run = await puppet.next(fruit)
        await run.say(f"This is about {fruit}.")
        run.end()
        await tab.run("finished")
        await expect(tab.of("answer").last).to_have_text(f"This is about {fruit}.")
        if fruit == "apples":
            await tab.page.add_init_script(DRAWS_SLOWLY)
            await tab.page.reload()
            await tab.run("finished")
            await tab.shows_the_log()
    await tab.shows_the_log()


async def test_a_question_that_is_asked_before_anything_is_drawn_is_sent(
    tab: Tab, puppet: Puppets
) -> None:
    await tab.page.add_init_script(ASKS_AT_ONCE)
    await tab.page.reload()
    (await puppet.next("At once")).end()
    await tab.run("finished")
    await tab.shows_the_log()


async def test_the_stop_button_stops(tab: Tab, puppet: Puppets) -> None:
    await tab.ask("Go on for ever")
    run = await puppet.next("Go on for ever")
    await run.babble()
    await expect(tab.of("answer")).to_contain_text("word5 ")
    await expect(tab.page.locator("#send")).to_be_hidden()
    await tab.page.locator("#stop").click()
    await tab.run("cancelled")
    await run.gone()
    await expect(tab.ending).to_have_attribute("data-status", "cancelled")
    await expect(tab.ending).to_contain_text("This answer was stopped.")
    events = await tab.shows_the_log()
    assert events[-1]["outcome"] == {"type": "cancelled"}

    again = tab.ending.get_by_role("button", name="Ask again")
    # A second press that comes after the button has gone would take the focus where it falls.
    await again.evaluate("button => { button.click(); button.click(); }")
    run = await puppet.next("Go on for ever")
    await expect(tab.of("said")).to_have_count(2)
    await expect(again).to_be_hidden()
    await expect(tab.field).to_be_focused()
    await run.say("Now this.")
    run.end()
    await tab.run("finished")
    await tab.shows_the_log()
    await tab.picture("stopped")


async def test_a_failure_tells_the_reference_and_not_the_cause(tab: Tab, puppet: Puppets) -> None:
    await tab.ask("Fail")
    run = await puppet.next("Fail")
    await run.begin("So far so good")
    await run.fail("the password is hunter2")
    await tab.run("failed")
    await expect(tab.ending).to_have_attribute("data-code", "agent_failed")
    events = await tab.shows_the_log()
    message = events[-1]["message"]
    await expect(tab.ending).to_contain_text(message)
    assert re.search(r"server's log tells more under \S+", message)
    assert "hunter2" not in await tab.page.content()
    await tab.picture("failed")
    await tab.page.reload()
    await expect(tab.ending).to_contain_text(message)
    await tab.shows_the_log()


async def test_half_of_an_emoji_is_asked_like_any_text(tab: Tab, puppet: Puppets) -> None:
    await tab.field.evaluate(
        "(field) => { field.value = 'half \\ud83d'; field.dispatchEvent(new Event('input')); }"
    )
    await tab.field.press("Enter")
    run = await puppet.next("half \N{REPLACEMENT CHARACTER}")
    run.end()
    await tab.run("finished")
    await tab.shows_the_log()


async def test_the_docs_agent_answers(tab: Tab) -> None:
    await tab.page.select_option("#agent", "docs")
    await expect(tab.page.locator(".example")).to_have_count(3)
    await tab.page.locator(".example", has_text="What survives a kill -9?").click()
    await tab.run("finished")
    await expect(tab.of("thinking")).to_have_count(1)
    await expect(tab.of("toolcall")).to_have_attribute("data-tool", "search_docs")
    await expect(tab.of("answer").locator("a[href^='docs/']").first).to_be_visible()
    await tab.shows_the_log()
    await tab.picture("docs-agent")


async def test_an_agent_that_ends_without_a_word_is_told_so(tab: Tab, puppet: Puppets) -> None:
    """Nothing at all would look like a fault of the page."""
    working = tab.page.locator("#working")
    await tab.ask("Say nothing")
    run = await puppet.next("Say nothing")
    await run.begin("  ")
    run.end()
    await tab.run("finished")
    await expect(working).to_have_text("The agent ended without an answer.")
    await expect(working.locator(".spinner")).to_be_hidden()
    await tab.page.reload()
    await expect(working).to_have_text("The agent ended without an answer.")
    await tab.ask("Say something")
    run = await puppet.next("Say something")
    await expect(working.locator(".spinner")).to_be_visible()
    await run.say("Something.")
    run.end()
    await tab.run("finished")
    await expect(working).to_be_hidden()
    await tab.shows_the_log()


async def test_the_progress_of_a_run_is_shown_also_after_a_reload(
    tab: Tab, puppet: Puppets
) -> None:
    working, bar = tab.page.locator("#working-text"), tab.page.locator("#progress")
    await tab.ask("Count")
    run = await puppet.next("Count")
    await expect(working).to_have_text("Working…")
    await expect(bar).to_be_hidden()
    far = {"text": "Counting sheep", "done": 3, "total": 12}
    await run.play(CustomEvent(name="netra.progress", value=far))
    await expect(working).to_have_text("Working: Counting sheep (3 of 12)")
    await expect(bar).to_have_js_property("value", 0.25)
    await tab.picture("progress")
    # So many entries that who comes back is told by a prelude.
    await run.play(*(CustomEvent(name="tick", value=n) for n in range(REPLAY_ENTRIES + 10)))
    await run.say("One, two, three.")
    await expect(tab.of("answer")).to_contain_text("three")
    await tab.page.reload()
    await expect(working).to_have_text("Working: Counting sheep (3 of 12)")
    await expect(bar).to_be_visible()
    await run.play(StepStartedEvent(step_name="sum"))
    await expect(working).to_have_text("Working: sum")
    await run.play(StepFinishedEvent(step_name="sum"))
    await expect(working).to_have_text("Working…")
    run.end()
    await tab.run("finished")
    await expect(working).to_be_hidden()
