"""Outages: the network goes, the server is killed or restarted, and the page comes back."""

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import expect

from netra_backend.agents.base import Reasoning
from tests.cable import Cable, cable
from tests.e2e.page.browser import Tab
from tests.e2e.page.conftest import REPLAY_ENTRIES, Meet
from tests.e2e.page.puppets import Puppets
from tests.live import ServerProcess

pytestmark = pytest.mark.anyio

UNREACHABLE = (
    r"ERR_(CONNECTION|CONTENT_LENGTH|EMPTY|INCOMPLETE|INTERNET|SOCKET)_"
    r"|WebSocket connection to .* failed"
)
"""What Chromium itself writes to the console about a server that is not there, or goes away in the
middle of an answer: the page's icon comes last."""

LISTEN = """
() => {
  const announcer = document.getElementById("announcer");
  window.heard = [];
  new MutationObserver(() => heard.push(announcer.textContent)).observe(announcer, {
    childList: true,
  });
}
"""
"""Keeps what a screen reader is told in ``heard``."""


@pytest.fixture
async def wire(server: ServerProcess) -> AsyncIterator[Cable]:
    """Lay a cable to the server."""
    async with cable(server.port) as laid:
        yield laid


@pytest.fixture
async def wired(meet: Meet, wire: Cable) -> Tab:
    """Return a live chat page that reaches the server by the cable only."""
    visitor = await meet()
    visitor.tolerate(UNREACHABLE)
    tab = await visitor.tab(url=wire.url)
    await tab.connection("live")
    return tab


async def test_the_network_is_pulled_in_the_middle_and_comes_back(
    wired: Tab, wire: Cable, puppet: Puppets
) -> None:
    await wired.ask("Hold on")
    run = await puppet.next("Hold on")
    text = await run.begin("Before, ")
    await expect(wired.of("answer")).to_have_text("Before, ")

    await wire.pull()
    await wired.connection("waiting")
    working = wired.page.locator("#working-text")
    await expect(working).to_have_text("The rest comes when the connection is back.")
    await expect(wired.page.locator("#connection-text")).to_contain_text("Reconnecting in")
    await wired.picture("network-pulled")
    await run.play(*text.add("meanwhile, "), *text.end())
    await run.call("search", {"while": "away"}, "found")
    text = await run.begin("and ")
    await wire.plug()
    await wired.connection("live")
    await expect(wired.of("toolcall")).to_have_attribute("data-status", "done")
    await run.play(*text.add("after."), *text.end())
    run.end()
    await wired.run("finished")
    await wired.shows_the_log()
    assert wired.resumes[-1] == "replay"


@pytest.mark.nightly
async def test_many_cuts_while_words_stream(wired: Tab, wire: Cable, puppet: Puppets) -> None:
    await wired.ask("Never mind the cuts")
    run = await puppet.next("Never mind the cuts")
    await run.babble(every=0.005)
    answer = wired.of("answer").locator("[data-part=body]")
    for _ in range(4):
        seen = len(await answer.inner_text()) if await answer.count() else 0
        await wire.pull()
        await wired.connection("waiting")
        await wire.plug()
        await wired.try_now()
        await wired.connection("live")
        await expect(answer).to_have_text(re.compile(rf".{{{seen + 40}}}", re.DOTALL))
    await wired.page.locator("#stop").click()
    await wired.run("cancelled")
    await wired.shows_the_log()


async def test_a_question_asked_without_a_network_is_sent_when_it_is_back(
    wired: Tab, wire: Cable, puppet: Puppets
) -> None:
    await wire.pull()
    await wired.connection("waiting")
    await wired.ask("Later will do")
    await expect(wired.of("said")).to_have_attribute("data-delivery", "pending")
    await wired.run("starting")
    await wire.plug()
    run = await puppet.next("Later will do")
    await run.say("It did.")
    run.end()
    await wired.run("finished")
    events = await wired.shows_the_log()
    assert [event["type"] for event in events].count("RUN_STARTED") == 1


async def test_who_was_away_long_gets_a_snapshot(wired: Tab, wire: Cable, puppet: Puppets) -> None:
    await wired.ask("Talk a lot")
    run = await puppet.next("Talk a lot")
    await run.think("I shall.")
    text = await run.begin("Begun ")
    await expect(wired.of("answer")).to_have_text("Begun ")
    await wire.pull()
    await wired.connection("waiting")
    await run.play(*text.add("and ended."), *text.end())
    for count in range(REPLAY_ENTRIES // 3 + 1):
        await run.say(f"Remark {count}.")
    await run.call("search", {"q": 1}, "r")
    thought = Reasoning()
    await run.play(*thought.start(), *thought.add("In the middle "))
    second = await wired.visitor.tab(f"#thread={await wired.thread()}")
    await expect(second.of("thinking").last.locator("p")).to_have_text("In the middle ")
    await wire.plug()
    for tab in (wired, second):
        await expect(tab.of("thinking").last.locator("p")).to_have_text("In the middle ")
        await expect(tab.of("thinking").last).to_have_attribute("data-active", "")
    await run.play(*thought.add("of a thought."), *thought.end())
    await run.say("The end.")
    run.end()
    for tab in (wired, second):
        await tab.run("finished")
        await tab.shows_the_log()
        assert tab.resumes[-1] == "snapshot", tab.resumes


@pytest.mark.nightly
async def test_a_snapshot_keeps_what_earlier_runs_left(
    wired: Tab, wire: Cable, puppet: Puppets, server: ServerProcess
) -> None:
    """Ends and questions, open and answered, at their places between the messages."""
    await wired.ask("Fail")
    run = await puppet.next("Fail")
    await run.say("I try.")
    await run.fail("in vain")
    await wired.run("failed")
    await wired.ask("Die")
    run = await puppet.next("Die")
    await run.begin("Half a w")
    await expect(wired.of("answer", "Half a w")).to_be_visible()
    await asyncio.to_thread(server.kill)
    await run.gone()
    server.start()
    await server.wait_ready()
    await wired.run("interrupted")
    await wired.ask("Ask")
    run = await puppet.next("Ask")
    await run.ask("q1", "May I?")
    await wired.of("question", "May I?").locator("[data-part=approve]").click()
    run = await puppet.next("Ask")
    await run.say("I may.")
    await run.ask("q2", "And this?")
    await expect(wired.of("question", "And this?")).to_be_visible()
    await wired.run("awaiting")
    await wired.ask("Never mind")
    run = await puppet.next("Never mind")
    text = await run.begin("Then ")
    await wired.page.locator("#stop").click()
    await wired.run("cancelled")
    await wired.ask("Talk")
    run = await puppet.next("Talk")
    text = await run.begin("Begun ")
    await expect(wired.of("answer", "Begun")).to_be_visible()
    left = wired.page.locator("#items > .ending, #items > .question")
    await expect(wired.of("question", "May I?")).to_contain_text("Approved by you.")
    before = await left.all_inner_texts()
    assert len(before) == 5

    await wire.pull()
    await wired.connection("waiting")
    await run.play(*text.add("and ended."), *text.end())
    for count in range(REPLAY_ENTRIES // 3 + 1):
        await run.say(f"Remark {count}.")
    second = await wired.visitor.tab(f"#thread={await wired.thread()}")
    await wire.plug()
    await run.say("The end.")
    run.end()
    for tab in (wired, second):
        await tab.run("finished")
        await tab.shows_the_log()
        assert tab.resumes[-1] == "snapshot", tab.resumes
        left = tab.page.locator("#items > .ending, #items > .question")
        await expect(left).to_have_text(before, use_inner_text=True)  # who answered comes later
    await second.of("question", "And this?").locator("[data-part=reject]").click()
    run = await puppet.next("Talk")
    run.end()
    for tab in (wired, second):
        await expect(tab.of("question", "And this?")).to_have_attribute("data-verdict", "rejected")
        await tab.run("finished")
        await tab.shows_the_log()


async def test_a_network_that_goes_silent_is_noticed(
    wired: Tab, wire: Cable, puppet: Puppets
) -> None:
    await wired.ask("Anybody there?")
    run = await puppet.next("Anybody there?")
    text = await run.begin("Yes")
    await expect(wired.of("answer")).to_have_text("Yes")
    wire.hush()
    await wired.visitor.context.set_offline(True)
    await wired.connection("offline")
    await expect(wired.page.locator("#connection-text")).to_contain_text("Offline")
    await run.play(*text.add(", still."), *text.end())
    run.end()
    wire.unhush()
    await wired.visitor.context.set_offline(False)
    await wired.connection("live")
    await wired.run("finished")
    await wired.shows_the_log()


async def test_kill_9_in_the_middle_ends_the_run_as_interrupted(
    meet: Meet, server: ServerProcess, puppet: Puppets
) -> None:
    visitor = await meet()
    visitor.tolerate(UNREACHABLE)
    tab = await visitor.tab()
    await tab.ask("Survive this")
    run = await puppet.next("Survive this")
    await run.think("I may not live to see the end.")
    await run.babble()
    await expect(tab.of("answer")).to_contain_text("word5 ")
    second = await visitor.tab(f"#thread={await tab.thread()}")
    await expect(second.of("answer")).to_contain_text("word5 ")

    await asyncio.to_thread(server.kill)
    await run.gone()
    await tab.connection("waiting")
    await tab.picture("server-killed")
    server.start()
    await server.wait_ready()
    for each in (tab, second):
        await each.connection("live")
        await each.run("interrupted")
        await expect(each.ending).to_have_attribute("data-status", "interrupted")
        await expect(each.ending).to_contain_text("The server was stopped while the agent")
        await expect(each.page.locator("#stop")).to_be_hidden()
    events = await tab.shows_the_log()
    assert (events[-1]["type"], events[-1]["code"]) == ("RUN_ERROR", "interrupted")
    await second.shows_the_log()
    await tab.page.bring_to_front()
    await tab.picture("interrupted")

    await tab.ask("Go on")
    run = await puppet.next("Go on")
    await run.say("Where was I?")
    run.end()
    for each in (tab, second):
        await each.run("finished")
        await each.shows_the_log()
    await tab.page.reload()
    await tab.run("finished")
    await tab.shows_the_log()


async def test_a_restart_is_announced_and_the_page_comes_back_by_itself(
    meet: Meet, server: ServerProcess, puppet: Puppets
) -> None:
    visitor = await meet()
    visitor.tolerate(UNREACHABLE)
    tab = await visitor.tab()
    await tab.ask("Work")
    run = await puppet.next("Work")
    await run.begin("Working")
    await expect(tab.of("answer")).to_have_text("Working")
    assert await asyncio.to_thread(server.stop) == 0
    await tab.connection("restarting")
    await expect(tab.page.locator("#connection-text")).to_contain_text("Server stopped, next")
    await tab.picture("restarting")
    await run.gone()
    server.start()
    await server.wait_ready()
    await tab.connection("live")
    await tab.run("interrupted")
    await tab.shows_the_log()
    await tab.ask("Again")
    run = await puppet.next("Again")
    await run.say("Here.")
    run.end()
    await tab.run("finished")
    await tab.shows_the_log()


@pytest.mark.nightly
async def test_what_is_asked_while_the_server_is_down_is_answered_after_it(
    meet: Meet, server: ServerProcess, puppet: Puppets
) -> None:
    visitor = await meet()
    visitor.tolerate(UNREACHABLE)
    tab = await visitor.tab()
    await tab.connection("live")
    await tab.page.evaluate(LISTEN)
    await asyncio.to_thread(server.kill)
    await tab.connection("waiting")
    await tab.ask("Are you there?")
    await expect(tab.of("said")).to_have_attribute("data-delivery", "pending")
    for _ in range(3):
        await tab.connection("waiting")
        await tab.try_now()
    server.start()
    await server.wait_ready()
    run = await puppet.next("Are you there?")
    await run.say("Now I am.")
    run.end()
    await tab.run("finished")
    await tab.shows_the_log()
    heard = await tab.page.evaluate("heard")
    assert heard == ["Connection lost. Reconnecting.", "Connected.", "The answer is complete."]
