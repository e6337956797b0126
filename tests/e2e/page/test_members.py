"""Members: invited, changed and removed by the owner; each sees what they may, and only that."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import pytest
from ag_ui.core import Interrupt, RunFinishedEvent, RunFinishedInterruptOutcome
from playwright.async_api import Locator, Page, Route, expect

from tests.e2e.page.browser import Tab
from tests.e2e.page.conftest import Meet
from tests.e2e.page.puppets import Puppets
from tests.e2e.page.test_shape import CONTRAST, FOCUS, Scheme

pytestmark = pytest.mark.anyio

FORBIDDEN = r"status of 4(03|04|22)"
"""What Chromium itself writes to the console about a refused request."""


class Two(NamedTuple):
    """An owner and somebody else, each with a page, and what the thread is called by the second."""

    owner: Tab
    guest: Tab
    name: str
    thread: str

    @property
    def dialog(self) -> Locator:
        return self.owner.page.locator("#members-dialog")

    async def invite(self, role: str) -> None:
        await self.owner.visitor.send(
            "PUT", f"/threads/{self.thread}/members/{self.name}", {"role": role}
        )


async def name_of(tab: Tab) -> str:
    await tab.connection("live")
    return await tab.page.locator("#user").text_content() or ""


async def two(meet: Meet, puppet: Puppets, **shape: object) -> Two:
    """Return an owner with a conversation about apples, and somebody who is not invited yet."""
    owner, guest = await (await meet(**shape)).tab(), await (await meet(**shape)).tab()
    name = await name_of(guest)
    whose = await name_of(owner)
    await owner.ask("apples")
    run = await puppet.next("apples")
    await run.say("This is about apples.")
    run.end()
    await owner.run("finished")
    thread = await owner.thread()
    await guest.page.goto(f"{guest.visitor.url}/#thread={whose},{thread}")
    await expect(guest.page.locator("#notice-text")).to_contain_text("There is no such")
    return Two(owner, guest, name, thread)


async def test_the_owner_invites_changes_and_removes_by_keyboard(
    meet: Meet, puppet: Puppets
) -> None:
    there = await two(meet, puppet)
    page, dialog = there.owner.page, there.dialog
    await page.locator("#share").focus()
    await page.keyboard.press("Enter")
    user = dialog.locator("[data-part=invite] [data-part=user]")
    await expect(user).to_be_focused()
    rows = dialog.locator("[data-part=members] > li")
    await expect(rows).to_have_count(1)
    await expect(rows.first).to_contain_text("(you)")
    await expect(rows.first.locator("button")).to_be_hidden()
    await page.keyboard.type(f" {there.name} ")
    await page.keyboard.press("Enter")
    row = dialog.locator(f"li[data-user='{there.name}']")
    await expect(row).to_have_attribute("data-role", "read")
    await expect(dialog.locator("[data-part=told]")).to_have_text(
        f"{there.name} may read now, and finds the conversation in their list."
    )
    await expect(user).to_be_focused()
    await expect(user).to_have_value("")
    await there.owner.picture("members")

    await row.locator("select").focus()
    await page.keyboard.press("ArrowDown")
    await expect(row).to_have_attribute("data-role", "write")
    await expect(row.locator("select")).to_be_focused()
    await page.keyboard.press("Tab")
    await expect(row.locator("[data-part=remove]")).to_be_focused()
    assert (await page.evaluate(FOCUS))["seen"]
    await page.keyboard.press("Enter")
    await expect(row).to_have_count(0)
    await expect(user).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    await expect(page.locator("#share")).to_be_focused()
    listed = await there.owner.visitor.get(f"/threads/{there.thread}/members")
    assert listed is not None
    assert [member["role"] for member in listed["members"]] == ["owner"]


async def test_everybody_sees_who_said_what_and_learns_what_they_may(
    meet: Meet, puppet: Puppets
) -> None:
    there = await two(meet, puppet)
    await there.invite("write")
    owner, guest = there.owner, there.guest
    await guest.page.reload()
    await guest.ask("pears")
    (await puppet.next("pears")).end()
    for tab, names in (
        (owner, ("You", there.name)),
        (guest, (await name_of(owner), "You")),
    ):
        said = tab.of("said")
        await expect(said).to_have_count(2)
        for at, name in enumerate(names):
            await expect(said.nth(at)).to_have_attribute("aria-label", name)
            shown = said.nth(at).locator("[data-part=by]")
            await (
                expect(shown).to_be_hidden() if name == "You" else expect(shown).to_have_text(name)
            )
        await tab.run("finished")
    await guest.picture("members-who-said-what")
    heard = f"""
      - article "{there.name}":
        - /children: equal
        - paragraph: pears
    """
    await expect(owner.log).to_match_aria_snapshot(heard)
    user = guest.page.locator(".drawer-foot")
    await expect(user).to_match_aria_snapshot(f"- text: Signed in as {there.name}")
    await there.owner.shows_the_log()
    # Who may write no more learns it when they try.
    await guest.field.fill("plums")
    await there.invite("read")
    await guest.field.press("Enter")
    await expect(guest.body).to_have_attribute("data-may", "read")
    refused = guest.of("said", "plums")
    await expect(refused.locator("[data-part=problem]")).to_contain_text("yours is read")
    await expect(refused.get_by_role("button")).to_have_count(0)
    await expect(guest.field).to_be_disabled()
    await expect(guest.log).to_be_focused()


@pytest.mark.nightly
async def test_what_is_refused_is_told_in_the_dialog(meet: Meet, puppet: Puppets) -> None:
    there = await two(meet, puppet)
    there.owner.visitor.tolerate(FORBIDDEN)
    page, dialog = there.owner.page, there.dialog
    await page.locator("#share").click()
    user = dialog.locator("[data-part=invite] [data-part=user]")
    problem = dialog.locator(".problem")
    await expect(dialog.locator("[data-part=members] > li")).to_have_count(1)
    for name, why in (
        ("a,b", "“a,b” cannot be invited: "),
        (await name_of(there.owner), "the owner is no member"),
    ):
        await user.fill(name)
        await user.press("Enter")
        await expect(problem).to_contain_text(why)
        await expect(user).to_have_value(name)  # to be mended
        await expect(user).to_be_focused()
    await there.owner.picture("members-problem")
    await user.fill(there.name)
    await user.press("Enter")
    await expect(problem).to_be_hidden()
    row = dialog.locator(f"li[data-user='{there.name}']")
    await expect(row).to_be_visible()
    await there.owner.visitor.send("DELETE", f"/threads/{there.thread}/members/{there.name}")
    await row.locator("[data-part=remove]").click()
    await expect(problem).to_contain_text("is no member any more")
    await expect(row).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.nightly)])
async def test_a_reader_reads_and_is_told_why_not_more(
    meet: Meet, puppet: Puppets, scheme: Scheme
) -> None:
    there = await two(meet, puppet, color_scheme=scheme)
    await there.invite("read")
    guest, page = there.guest, there.guest.page
    await page.reload()
    await expect(guest.of("answer")).to_have_text("This is about apples.")
    await expect(guest.body).to_have_attribute("data-may", "read")
    barred = page.locator("#barred")
    owner = await name_of(there.owner)
    await expect(barred).to_have_text(
        f"You may read this conversation, but not write in it. Its owner, {owner}, can change that."
    )
    await expect(guest.field).to_be_disabled()
    await expect(page.locator("#send")).to_be_hidden()
    row = page.locator("#threads > li").first
    await expect(row.locator("[data-part=owner]")).to_have_text(owner)
    await row.hover()
    for control in ("rename", "delete"):
        await expect(row.locator(f"[data-part={control}]")).to_be_hidden()
        await expect(
            there.owner.page.locator(f"#threads > li [data-part={control}]")
        ).to_have_attribute("aria-label", f"{control.capitalize()} apples")
    await there.owner.ask("apples, again")
    run = await puppet.next("apples, again")
    await guest.run("running")
    await expect(page.locator("#stop")).to_be_hidden()
    await guest.picture(f"reader-{scheme}")
    await run.say("More of them.")
    await run.fail("no more")
    await expect(guest.of("answer").last).to_have_text("More of them.")
    await expect(guest.ending).to_contain_text("Failed")
    again = guest.ending.locator("[data-part=again]")
    await expect(again).to_be_hidden()
    await page.locator("#share").click()
    await expect(page.locator("#members-dialog [data-part=invite]")).to_be_hidden()
    await guest.picture(f"members-of-a-reader-{scheme}")
    worst = min(ratio for ratio, _ in await page.evaluate(CONTRAST))
    assert worst >= 4.5

    await there.invite("write")
    await page.locator("#members-dialog [data-part=cancel]").click()
    await page.evaluate("() => dispatchEvent(new Event('focus'))")
    await expect(guest.field).to_be_enabled()
    await expect(barred).to_be_hidden()
    await expect(again).to_be_visible()
    await guest.ask("pears")
    run = await puppet.next("pears")
    run.end()
    await guest.run("finished")
    await expect(there.owner.of("said").last).to_contain_text("pears")


@pytest.mark.nightly
async def test_who_may_not_decide_sees_the_question_only(meet: Meet, puppet: Puppets) -> None:
    there = await two(meet, puppet)
    await there.invite("write")
    await there.guest.page.reload()
    await there.owner.ask("Ask me")
    run = await puppet.next("Ask me")
    asked = Interrupt(id="q", reason="approval", message="Shall I?")
    await run.play(
        RunFinishedEvent(
            thread_id="", run_id="", outcome=RunFinishedInterruptOutcome(interrupts=[asked])
        )
    )
    card = there.guest.of("question")
    await expect(card.locator("[data-part=text]")).to_have_text("Shall I?")
    await expect(card.locator("[data-part=barred]")).to_contain_text("You may not answer this.")
    for control in ("approve", "reject"):
        await expect(card.locator(f"[data-part={control}]")).to_be_hidden()
    await there.guest.picture("question-without-buttons")
    await there.invite("decide")
    await there.guest.page.evaluate("() => dispatchEvent(new Event('focus'))")
    await expect(card.locator("[data-part=barred]")).to_be_hidden()
    await card.locator("[data-part=approve]").click()
    run = await puppet.next("Ask me")
    run.end()
    await expect(card.locator("[data-part=verdict]")).to_have_text("Approved by you.")
    theirs = there.owner.of("question").locator("[data-part=verdict]")
    await expect(theirs).to_have_text(f"Approved by {there.name}.")
    await there.owner.page.reload()
    await expect(theirs).to_have_text(f"Approved by {there.name}.")


@pytest.mark.nightly
async def test_a_member_leaves_and_a_removed_one_is_told(meet: Meet, puppet: Puppets) -> None:
    there = await two(meet, puppet)
    page = there.guest.page
    await there.invite("write")
    await page.reload()
    await expect(page.locator("#threads > li")).to_have_count(1)
    await page.locator("#share").click()
    await page.locator("#members-dialog [data-part=remove]:not([hidden])").click()
    await expect(page.locator("#welcome")).to_be_visible()
    await expect(page.locator("#threads > li")).to_have_count(0)
    await there.invite("write")
    await page.go_back()
    await expect(there.guest.of("answer")).to_have_text("This is about apples.")
    await there.owner.ask("pears")
    run = await puppet.next("pears")
    await run.begin("Pears")
    await there.guest.run("running")
    await there.owner.page.locator("#share").click()
    await there.dialog.locator("[data-part=remove]:not([hidden])").click()
    await expect(page.locator("#notice-text")).to_have_text(
        "You may no longer see this conversation."
    )
    await expect(there.guest.field).to_be_disabled()
    await expect(there.guest.body).to_have_attribute("data-may", "")
    await there.guest.run("none")
    await expect(page.locator("#working")).to_be_hidden()
    await expect(there.guest.of("answer", "Pears")).not_to_have_attribute("data-open", "")


@pytest.mark.nightly
async def test_who_is_removed_is_told_though_the_dialog_was_open(
    meet: Meet, puppet: Puppets
) -> None:
    there = await two(meet, puppet)
    page = there.guest.page
    await there.invite("read")
    await page.reload()
    await page.locator("#share").click()
    dialog = page.locator("#members-dialog")
    await expect(dialog.locator("[data-part=members] > li")).to_have_count(2)
    await there.owner.visitor.send("DELETE", f"/threads/{there.thread}/members/{there.name}")
    await expect(dialog).to_be_hidden()
    await expect(page.locator("#notice-text")).to_have_text(
        "You may no longer see this conversation."
    )


@pytest.mark.nightly
async def test_everybody_who_may_write_stops_what_anybody_asked(
    meet: Meet, puppet: Puppets
) -> None:
    there = await two(meet, puppet)
    await there.invite("write")
    await there.guest.page.reload()
    await expect(there.guest.field).to_be_enabled()
    for asks, stops in ((there.owner, there.guest), (there.guest, there.owner)):
        question = f"for {await name_of(stops)} to stop"
        await asks.ask(question)
        run = await puppet.next(question)
        await run.say("Once upon a time")
        await stops.run("running")
        await stops.page.locator("#stop").click()
        for tab in (asks, stops):
            await tab.run("cancelled")
            await expect(tab.ending).to_contain_text("This answer was stopped.")
            await expect(tab.page.locator("#notice")).to_be_hidden()


@asynccontextmanager
async def held(page: Page, path: str, method: str) -> AsyncIterator[None]:
    """Hold back such requests of the page, and in the end wait until one has been answered."""
    released = asyncio.Event()

    async def hold(route: Route) -> None:
        if route.request.method == method:
            await released.wait()
        await route.continue_()

    await page.route(path, hold)
    async with page.expect_response(path) as answered:
        yield
        released.set()
    await (await answered.value).finished()
    await page.evaluate("() => new Promise(requestAnimationFrame)")


async def another(tab: Tab, puppet: Puppets) -> str:
    """Begin another conversation, and return what it is called."""
    await tab.page.locator("#new-thread").click()
    await tab.ask("pears")
    run = await puppet.next("pears")
    await run.say("This is about pears.")
    run.end()
    await tab.run("finished")
    return await tab.thread()


async def turn_to(tab: Tab, thread: str) -> None:
    await tab.page.locator(f"#threads > li[data-thread='{thread}'] [data-part=link]").click()
    await expect(tab.log).to_have_attribute("data-thread", thread)
    await expect(tab.page.locator("#share")).to_be_visible()


@pytest.mark.nightly
async def test_a_late_answer_is_not_shown_in_the_dialog_of_another_thread(
    meet: Meet, puppet: Puppets
) -> None:
    there = await two(meet, puppet)
    owner, page, dialog = there.owner, there.owner.page, there.dialog
    await there.invite("read")
    second = await another(owner, puppet)
    await turn_to(owner, there.thread)
    rows = dialog.locator("[data-part=members] > li")
    async with held(page, f"**/threads/{there.thread}/members", "GET"):
        await page.locator("#share").click()
        await dialog.locator("[data-part=cancel]").click()
        await turn_to(owner, second)
        await page.locator("#share").click()
        await expect(rows).to_have_count(1)
    await expect(dialog).not_to_have_attribute("data-busy", "")
    await expect(rows).to_have_count(1)
    await dialog.locator("[data-part=user]").fill(there.name)
    await dialog.locator("[data-part=submit]").click()
    await expect(rows).to_have_count(2)
    listed = await owner.visitor.get(f"/threads/{second}/members")
    assert listed is not None
    assert [member["user"] for member in listed["members"]] == [await name_of(owner), there.name]


@pytest.mark.nightly
async def test_who_leaves_one_thread_and_turns_to_another_stays_in_that(
    meet: Meet, puppet: Puppets
) -> None:
    there = await two(meet, puppet)
    guest, page = there.guest, there.guest.page
    shared = f"{await name_of(there.owner)},{there.thread}"
    await there.invite("write")
    own = await another(guest, puppet)
    await page.reload()
    await turn_to(guest, shared)
    dialog = page.locator("#members-dialog")
    async with held(page, "**/members/*", "DELETE"):
        await page.locator("#share").click()
        await dialog.locator("[data-part=remove]:not([hidden])").click()
        await dialog.locator("[data-part=cancel]").click()
        await turn_to(guest, own)
        await page.locator("#share").click()
    await expect(page.locator(f"#threads > li[data-thread='{shared}']")).to_have_count(0)
    await expect(page.locator(f"#threads > li[data-thread='{own}']")).to_have_count(1)
    await expect(dialog).to_be_visible()
    assert await guest.thread() == own


@pytest.mark.nightly
async def test_nothing_can_be_clicked_while_the_dialog_waits_for_the_server(
    meet: Meet, puppet: Puppets
) -> None:
    there = await two(meet, puppet)
    page, dialog = there.owner.page, there.dialog
    await there.invite("read")
    await there.owner.visitor.send(
        "PUT", f"/threads/{there.thread}/members/carol", {"role": "read"}
    )
    await page.locator("#share").click()
    rows = dialog.locator("[data-part=members] > li")
    await expect(rows).to_have_count(3)
    controls = dialog.locator("select:visible, button:visible")
    await expect(controls).to_have_count(7)  # two, a select and a button of each member, and Done
    async with held(page, "**/members/*", "DELETE"):
        await dialog.locator(f"li[data-user='{there.name}'] [data-part=remove]").click()
        await expect(dialog.locator(":is(select, button):disabled:visible")).to_have_count(6)
        await expect(dialog.locator("[data-part=cancel]")).to_be_enabled()
        await there.owner.picture("members-busy")
    await expect(rows).to_have_count(2)
    await dialog.locator("li[data-user='carol'] [data-part=remove]").click()
    await expect(rows).to_have_count(1)
    await expect(dialog.locator(":is(select, button):disabled")).to_have_count(0)


@pytest.mark.nightly
async def test_the_dialog_fits_a_phone(meet: Meet, puppet: Puppets) -> None:
    there = await two(meet, puppet, viewport={"width": 360, "height": 640})
    for number, role in enumerate(("read", "write", "decide")):
        name = f"a-colleague-with-a-long-name-{number}@{'long-' * 8}example.org"
        await there.owner.visitor.send(
            "PUT", f"/threads/{there.thread}/members/{name}", {"role": role}
        )
    await there.owner.page.locator("#share").click()
    await expect(there.dialog.locator("[data-part=members] > li")).to_have_count(4)
    await there.owner.picture("members-phone")
    width = await there.owner.page.evaluate("() => document.documentElement.scrollWidth")
    assert width <= 360
    inside = await there.dialog.evaluate("(node) => node.scrollWidth <= node.clientWidth")
    assert inside
