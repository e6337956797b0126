"""Sign-in with tokens: asked for, refused, expired while the page is open, and renewed."""

import base64
import time
from collections.abc import AsyncIterator

import jwt
import pytest
from playwright.async_api import expect

from tests.e2e.page.browser import Tab
from tests.e2e.page.conftest import ROOT, Meet
from tests.e2e.page.puppet_agent import PORT
from tests.e2e.page.puppets import Puppets
from tests.live import ServerProcess

pytestmark = pytest.mark.anyio

SECRET = "a secret of more than thirty-two bytes"

UNAUTHORIZED = r"401|WebSocket connection to .* failed"
"""What Chromium itself writes to the console about a refused request or handshake."""


def token(user: str, seconds: float = 600) -> str:
    """Return a token for `user` that ends in that many seconds."""
    claims = {"sub": user, "exp": time.time() + seconds}
    return jwt.encode(claims, SECRET, algorithm="HS256")


@pytest.fixture(scope="module")
async def server(
    strings: Puppets, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ServerProcess]:
    """Run ``netra serve`` for users with tokens."""
    process = ServerProcess(
        tmp_path_factory.mktemp("sign-in") / "data",
        ("puppet=tests.e2e.page.puppet_agent:agent",),
        cwd=ROOT,
        environment={
            PORT: str(strings.port),
            "NETRA_AUTH": "jwt",
            "NETRA_JWT_SECRET": SECRET,
        },
    )
    process.start()
    try:
        await process.wait_ready()
        yield process
    finally:
        process.stop()


async def _sign_in(tab: Tab, given: str) -> None:
    """Give a token to the page when it asks for one."""
    dialog = tab.page.locator("#token-dialog")
    await expect(dialog).to_be_visible()
    await dialog.locator("[data-part=token]").fill(given)
    await dialog.locator("[data-part=submit]").click()
    tab.visitor.token = given


async def test_a_token_is_asked_for_and_a_wrong_one_is_refused(meet: Meet, puppet: Puppets) -> None:
    visitor = await meet()
    visitor.tolerate(UNAUTHORIZED)
    tab = await visitor.tab()
    dialog, reason = tab.page.locator("#token-dialog"), tab.page.locator("[data-part=reason]")
    await tab.connection("signed-out")
    await expect(reason).to_have_text("Your sign-in is missing or has expired.")
    await expect(dialog).not_to_contain_text("netra token")  # which an end user cannot run
    await tab.picture("sign-in")
    for wrong in ("nonsense", token("ada", -10), jwt.encode({"sub": "ada"}, SECRET), "ä ö ü"):
        await _sign_in(tab, wrong)
        await expect(reason).to_have_text("The server does not accept this token.")
        await expect(dialog.locator("[data-part=token]")).to_have_value("")
    await tab.picture("wrong-token")
    await dialog.locator("[data-part=cancel]").click()
    await expect(dialog).to_be_hidden()
    await expect(tab.page.locator("#connection-text")).to_have_text("Signed out")
    await tab.page.locator("#sign-in").click()
    await _sign_in(tab, token("ada"))
    await tab.connection("live")
    await expect(dialog).to_be_hidden()
    await expect(tab.page.locator("#user")).to_have_text("ada")

    await tab.ask("Who am I?")
    run = await puppet.next("Who am I?")
    await run.say("Ada.")
    run.end()
    await tab.run("finished")
    await tab.shows_the_log()
    await expect(tab.page.locator("#tail")).to_be_hidden()  # nor this
    await tab.page.reload()
    await tab.connection("live")
    await expect(tab.of("answer")).to_have_text("Ada.")
    address = tab.page.url
    assert base64.urlsafe_b64encode(token("ada").encode())[:20].decode() not in address


async def test_a_token_that_expires_in_the_middle_of_an_answer(meet: Meet, puppet: Puppets) -> None:
    visitor = await meet()
    visitor.tolerate(UNAUTHORIZED)
    tab = await visitor.tab()
    await _sign_in(tab, token("ada", 3))
    await tab.connection("live")
    await tab.ask("Take your time")
    run = await puppet.next("Take your time")
    text = await run.begin("I shall, ")
    await expect(tab.of("answer")).to_have_text("I shall, ")
    await tab.connection("signed-out")
    await expect(tab.page.locator("[data-part=reason]")).to_have_text(
        "Your sign-in is missing or has expired."
    )
    await tab.picture("expired")
    await run.play(*text.add("said the agent."), *text.end())
    run.end()
    await _sign_in(tab, token("ada"))
    await tab.connection("live")
    await tab.run("finished")
    await tab.shows_the_log()


async def test_another_user_signs_in_on_the_same_page(meet: Meet, puppet: Puppets) -> None:
    visitor = await meet()
    visitor.tolerate(UNAUTHORIZED)
    tab = await visitor.tab()
    await _sign_in(tab, token("grace", 3))
    await tab.connection("live")
    await tab.ask("Private")
    run = await puppet.next("Private")
    await run.say("Grace only.")
    run.end()
    await tab.run("finished")
    await tab.connection("signed-out")
    await _sign_in(tab, token("mallory"))
    await expect(tab.page.locator("#user")).to_have_text("mallory")
    await tab.connection("live")
    await expect(tab.page.locator("#notice-text")).to_contain_text("not yours to see")
    await expect(tab.page.locator("#threads li")).to_have_count(0)
    assert await tab.pieces() == []
    assert "Grace only" not in await tab.page.content()
