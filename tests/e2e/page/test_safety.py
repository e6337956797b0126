"""Safety: whatever is said, by whomever, is shown and never executed, loaded or obeyed."""

import json
from urllib.parse import quote

import pytest
from ag_ui.core import (
    ActivitySnapshotEvent,
    Interrupt,
    RunErrorEvent,
    RunFinishedEvent,
    RunFinishedInterruptOutcome,
    StepStartedEvent,
    TextMessageContentEvent,
    TextMessageEndEvent,
    TextMessageStartEvent,
)
from playwright.async_api import expect

from tests.e2e.page.browser import Tab
from tests.e2e.page.conftest import Meet
from tests.e2e.page.puppets import Puppet, Puppets

pytestmark = pytest.mark.anyio

PARSED = r"violates the following Content Security Policy .*/page/~\w+/vendor/dompurify\.js"
"""What Chromium writes when the sanitiser parses a handler, a style or a base, in a document that
is never shown. It cannot be avoided: the browser's own ``Element.setHTML`` is told off likewise."""

MARKS = (
    '<script>window.pwned = "script"; alert("script")</script>',
    '<img src="data:image/png;base64,AAAA" onerror="window.pwned = \'img\'; alert(1)">',
    "<svg onload=\"window.pwned = 'svg'\"><script>window.pwned = 'svg'</script></svg>",
    "<iframe srcdoc=\"<script>parent.pwned = 'iframe'</script>\"></iframe>",
    '<iframe src="javascript:parent.pwned=1"></iframe>',
    "<details open ontoggle=\"window.pwned = 'toggle'\">d</details>",
    "<input autofocus onfocus=\"window.pwned = 'focus'\">",
    "<style>#log { display: none }</style>",
    '<p style="position: fixed; inset: 0; background: red">over everything</p>',
    '<meta http-equiv="refresh" content="0; url=https://evil.example/">',
    '<base href="https://evil.example/">',
    '<link rel="stylesheet" href="https://evil.example/x.css">',
    '<object data="https://evil.example/x.swf"></object><embed src="https://evil.example/x">',
    '<form action="https://evil.example/"><button id="send">Send</button></form>',
    '<p id="question" name="getElementById" class="unseen">clobbered</p>',
    '<img name="body" id="log"><a id="items" href="#">a</a>',
    '<a href="javascript:window.pwned=1">a</a> <a href="&#106;avascript:window.pwned=1">a</a>',
    '<a href="data:text/html,<script>alert(1)</script>">a</a> <a href="vbscript:x">a</a>',
    "[l](javascript:window.pwned=1) [l](JaVaScRiPt:alert(1)) <javascript:alert(1)>",
    "[l](data:text/html;base64,PHNjcmlwdD4=) [l](//evil.example 'onclick=alert(1)')",
    "<img src=x onerror=pwned()> ![i](/x) ![i](x)",
    "![i](https://evil.example/pixel.png) ![i](javascript:alert(1))",
    '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img onerror=a()&gt;">',
    "<noscript><p title=\"</noscript><img src=data:, onerror=alert(1)>\"></noscript>",
    "```html\n<script>window.pwned = 'fence'</script>\n```",
    "{{constructor.constructor('window.pwned=1')()}} ${window.pwned=1}",
    '" onmouseover="window.pwned=1" x="',
)  # fmt: skip
"""What somebody might say who wants a page to do more than show it."""

PAYLOAD = "\n\n".join(MARKS)

INSPECT = """
() => {
  const all = [...document.querySelectorAll("#main *, #drawer *")];
  const urls = (name) => all.filter((node) => node.hasAttribute(name)).map((node) => node[name]);
  return {
    pwned: window.pwned ?? null,
    field: document.getElementById("question").tagName,
    log: document.getElementById("log").tagName,
    base: document.baseURI === location.href.split("#")[0] || document.baseURI === location.href,
    tags: [...new Set(all.map((node) => node.localName))],
    said: [...document.querySelectorAll("#items *")].flatMap((node) => node.getAttributeNames()),
    links: urls("href").filter((href) => typeof href === "string"),
    sources: urls("src"),
    styled: document.querySelectorAll("#items [style]").length,
    ids: document.querySelectorAll("#items [id]:not(.field > [id^=field-]), #items [name]").length,
    shown: getComputedStyle(document.getElementById("log")).display,
  };
}
"""

FORBIDDEN_TAGS = {"script", "iframe", "style", "meta", "base", "link", "object", "embed", "math"}


async def _play_everything(run: Puppet) -> None:
    """Say the payload in every place where an agent can say something, but the end."""
    await run.play(StepStartedEvent(step_name=PAYLOAD))
    await run.think(PAYLOAD)
    await run.call(MARKS[1], {MARKS[0]: PAYLOAD}, PAYLOAD)
    await run.call("search", {"q": 1}, json.dumps({"hits": MARKS}))
    await run.play(
        ActivitySnapshotEvent(
            message_id="act", activity_type=MARKS[1], content={MARKS[0]: PAYLOAD}, replace=True
        ),
        TextMessageStartEvent(message_id="note", role="system"),
        TextMessageContentEvent(message_id="note", delta=PAYLOAD),
        TextMessageEndEvent(message_id="note"),
    )
    for mark in MARKS:
        await run.say(mark)
    await run.say(PAYLOAD)


async def _is_harmless(tab: Tab) -> None:
    """Fail if anything that was said is more than text, or safe Markdown."""
    for summary in await tab.page.locator("#items summary:visible").all():
        await summary.click()
    found = await tab.page.evaluate(INSPECT)
    assert found["pwned"] is None
    assert (found["field"], found["log"], found["base"]) == ("TEXTAREA", "SECTION", True)
    assert not FORBIDDEN_TAGS & set(found["tags"])
    assert not [name for name in found["said"] if name.startswith("on")]
    schemes = {link.split(":")[0] for link in found["links"]}
    assert schemes <= {"http", "https", "mailto"}, found["links"]
    assert all(source.startswith("data:image/") for source in found["sources"])
    assert (found["styled"], found["shown"]) == (0, "block")
    assert found["ids"] == 0


@pytest.mark.parametrize(
    "bypass_csp",
    [
        pytest.param(False, id="guarded"),
        pytest.param(True, id="sanitised-only", marks=pytest.mark.nightly),
    ],
)
async def test_nothing_that_is_said_is_executed(
    meet: Meet, puppet: Puppets, bypass_csp: bool
) -> None:
    visitor = await meet(bypass_csp=bypass_csp)
    visitor.tolerate(PARSED)
    tab = await visitor.tab()
    await tab.connection("live")
    requests: list[str] = []
    tab.page.on("request", lambda request: requests.append(request.url))
    await tab.ask(PAYLOAD)
    run = await puppet.next(PAYLOAD)
    await _play_everything(run)
    await run.play(RunErrorEvent(message=PAYLOAD, code=MARKS[0]))
    await tab.run("failed")
    thread = await tab.thread()
    await tab.visitor.send("PATCH", f"/threads/{thread}", {"title": MARKS[1]})
    await _is_harmless(tab)
    await tab.picture("payloads")
    await tab.page.reload()
    await tab.run("failed")
    await expect(tab.page.locator("#title")).to_have_text(MARKS[1])
    await expect(tab.ending).to_contain_text(MARKS[0])
    told = tab.ending.locator("[data-part=text]")
    await expect(told).to_have_css("unicode-bidi", "isolate")  # else it may turn the button around
    await expect(tab.of("said").locator("[data-part=text]")).to_have_text(PAYLOAD)
    await _is_harmless(tab)
    row = tab.page.locator("#threads > li").first
    await row.hover()
    await row.locator("[data-part=delete]").click()
    await expect(tab.page.locator("#delete-dialog [data-part=name]")).to_have_text(MARKS[1])
    await tab.page.keyboard.press("Escape")
    await _is_harmless(tab)
    own = tab.visitor.url.removeprefix("http")
    others = [url for url in requests if not url.startswith((f"http{own}", f"ws{own}", "data:"))]
    assert others == []
    assert f"{tab.visitor.url}/x" not in requests


async def test_a_question_of_the_agent_is_not_executed(tab: Tab, puppet: Puppets) -> None:
    await tab.ask("Ask me")
    run = await puppet.next("Ask me")
    schemas = [None, {"enum": list(MARKS)}, {"type": "object", "default": {MARKS[0]: MARKS[1]}}]
    asked = [
        Interrupt(id=f"q{n}", reason=MARKS[0], message=PAYLOAD, response_schema=schema)
        for n, schema in enumerate(schemas)
    ]
    outcome = RunFinishedInterruptOutcome(interrupts=asked)
    await run.play(RunFinishedEvent(thread_id="", run_id="", outcome=outcome))
    await tab.run("awaiting")
    await expect(tab.of("question")).to_have_count(3)
    await expect(tab.of("question").first.locator("[data-part=text]")).to_have_text(PAYLOAD)
    await _is_harmless(tab)


async def test_an_address_is_not_executed(tab: Tab) -> None:
    other = await tab.visitor.tab(f"#thread={quote(MARKS[1])}")
    await expect(other.page.locator("#notice")).to_be_visible()
    await _is_harmless(other)
    await other.page.goto(f"{tab.visitor.url}/#thread=%")
    await expect(other.page.locator("#welcome")).to_be_visible()
    await _is_harmless(other)


async def test_the_page_may_be_framed_by_nobody_and_runs_nothing_inline(tab: Tab) -> None:
    tab.visitor.tolerate("Content Security Policy")
    answer = await tab.page.goto(f"{tab.visitor.url}/")
    assert answer is not None
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    await tab.page.evaluate(
        """() => {
          const script = document.createElement("script");
          script.textContent = "window.pwned = 1";
          const style = document.createElement("style");
          style.textContent = "#log { display: none }";
          document.body.append(script, style);
        }"""
    )
    assert await tab.page.evaluate("window.pwned ?? null") is None
    await expect(tab.log).to_be_visible()
    await tab.visitor.complains("Refused|violates")
