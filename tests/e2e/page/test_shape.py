"""Shape: by keyboard alone, on a phone, in light and dark."""

import json
from typing import Literal, get_args

import pytest
from ag_ui.core import Interrupt, RunFinishedEvent, RunFinishedInterruptOutcome
from playwright.async_api import expect

from tests.e2e.page.browser import Tab
from tests.e2e.page.conftest import Meet
from tests.e2e.page.puppets import Puppet, Puppets

pytestmark = pytest.mark.anyio

Scheme = Literal["light", "dark"]

MARKDOWN = """\
# A heading

Some *text* with `code`, a [link](/docs/protocol) and a verylong""" + "long" * 40 + """word.

| column | another column | a third column | and a fourth one | the fifth |
|---|---|---|---|---|
| `a_value_in_code` | second value | third value | fourth value | fifth value |

```python
async def agent(input): yield "a line of code that is much longer than a telephone is wide"
```

> A quotation with a [link](https://example.org).

1. One
2. Two
   - three
"""  # fmt: skip

CONTRAST = """
() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], below) => [r, g, b].map((v, i) => v * a + below[i] * (1 - a));
  const ground = (node) => {
    if (!node) return [255, 255, 255];
    const color = rgba(getComputedStyle(node).backgroundColor);
    return color[3] === 1 ? color.slice(0, 3) : over(color, ground(node.parentElement));
  };
  const light = (color) => {
    const [r, g, b] = color.map((v) => v / 255).map((v) =>
      v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = [];
  for (const node of document.querySelectorAll("body *")) {
    const text = [...node.childNodes].filter((n) => n.nodeType === 3).map((n) => n.data).join("");
    if (!text.trim() || !node.checkVisibility({ visibilityProperty: true })) continue;
    if (node.closest(":disabled, .unseen, .skip, template")) continue;
    const below = ground(node);
    const [a, b] = [light(over(rgba(getComputedStyle(node).color), below)), light(below)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    found.push([Math.round(ratio * 100) / 100, text.trim().slice(0, 40)]);
  }
  return found;
}
"""
"""Returns the contrast ratio of each text that is seen (WCAG 2.2, section 1.4.3), and its text."""

FOCUS = """
() => {
  const node = document.activeElement;
  const framed = node.closest("#composer") ?? node;
  const style = getComputedStyle(node);
  const frame = getComputedStyle(framed);
  const ways = [style.outlineStyle, frame.outlineStyle, frame.boxShadow];
  const seen = ways.some((way) => way !== "none");
  return { name: node.id || node.dataset.part || node.className || node.localName, seen };
}
"""
"""Returns what has the focus, and whether that is seen."""

HIDDEN = "(node) => node.scrollHeight - node.clientHeight"
"""Returns how many pixels of what is in a node cannot be seen at once."""

KEEPS_NOTHING = """
for (const name of ["localStorage", "sessionStorage"]) {
  Object.defineProperty(window, name, {
    get() { throw new DOMException("denied", "SecurityError"); },
  });
}
"""
"""Does what a browser does that is told to keep no data of sites."""

GROUND = "(node) => getComputedStyle(node).backgroundColor"

OVERFLOW = """
() => [...document.querySelectorAll("body, #main, #main > *, #log, #items > *, #composer *")]
  .filter((node) => node.checkVisibility())
  .filter((node) => node.getBoundingClientRect().right > innerWidth + 0.5
    || (node.matches("body, #main, #log") && node.scrollWidth > node.clientWidth))
  .map((node) => node.id || node.className || node.localName)
"""
"""Returns what is wider than the screen."""

GAP = """
() => document.querySelector("#send").getBoundingClientRect().left
  - document.querySelector("#agent").getBoundingClientRect().right
"""
"""Returns how many pixels are between the choice of agents and the button that sends."""

SMALL = """
() => [...document.querySelectorAll("button, summary, #threads a")]
  .filter((node) => node.checkVisibility({ visibilityProperty: true }) && !node.closest(".skip"))
  .filter((node) => {
    const { width, height } = node.getBoundingClientRect();
    return width < 24 || height < 24;
  })
  .map((node) => node.id || node.className)
"""
"""Returns what is too small for a finger (WCAG 2.2, section 2.5.8)."""


async def _ask_back(run: Puppet, tab: Tab) -> None:
    """End the run with a question."""
    asked = Interrupt(id="q", reason="approval", message="May I " + "really " * 20 + "do that?")
    outcome = RunFinishedInterruptOutcome(interrupts=[asked])
    await run.play(RunFinishedEvent(thread_id="", run_id="", outcome=outcome))
    await tab.run("awaiting")


async def _everything(run: Puppet, tab: Tab) -> None:
    """Fill the page with one of each, unfolded, and leave a question open."""
    await run.think("A thought of\nseveral lines. " * 5)
    await run.call("search_the_documentation", {"query": "x" * 120}, json.dumps(["y" * 300]))
    await run.say(MARKDOWN)
    await _ask_back(run, tab)
    for fold in ("thinking", "toolcall"):
        await tab.of(fold).locator("summary").click()
        await expect(tab.of(fold)).to_have_attribute("open", "")


SHARES_TOO_LATE = """(button) => {
  button.click();
  document.getElementById("share").focus();
}"""
"""Begins a conversation, and goes on to a button that is there until that is drawn."""


async def _tab_to(tab: Tab, name: str, *, back: bool = False) -> list[str]:
    """Press Tab until the focus is on `name`; return what had it on the way."""
    passed: list[str] = []
    for _ in range(40):
        await tab.page.keyboard.press("Shift+Tab" if back else "Tab")
        focus = await tab.page.evaluate(FOCUS)
        assert focus["seen"], f"the focus on {focus['name']} cannot be seen"
        passed.append(focus["name"])
        if focus["name"] == name:
            return passed
    raise AssertionError(f"Tab does not reach {name}: {passed}")


async def test_by_keyboard_alone(tab: Tab, puppet: Puppets) -> None:
    keys = tab.page.keyboard
    await expect(tab.field).to_be_focused()
    await keys.type("one")
    await keys.press("Shift+Enter")
    await keys.type("two")
    await keys.press("Enter")
    run = await puppet.next("one\ntwo")
    await run.babble()
    await expect(tab.of("answer")).to_contain_text("word3 ")
    await tab.field.dispatch_event("keydown", {"key": "Escape", "isComposing": True})
    await expect(tab.of("answer")).to_contain_text("word19 ")
    await tab.run("running")
    await keys.press("Escape")
    await tab.run("cancelled")
    await expect(tab.field).to_be_focused()
    await keys.type("again")
    await tab.field.dispatch_event("keydown", {"key": "Enter", "keyCode": 229})  # Safari's way
    assert await tab.field.input_value() == "again"
    await keys.press("Enter")
    run = await puppet.next("again")
    await run.think("Hm.")
    await run.call("read", {}, "x" * 30_000)
    await _ask_back(run, tab)

    await tab.page.reload()
    await tab.run("awaiting")
    await _tab_to(tab, "skip", back=True)
    await keys.press("Enter")
    await expect(tab.field).to_be_focused()
    passed = await _tab_to(tab, "skip", back=True)
    assert {"log", "new-thread", "theme-toggle"} < set(passed)
    passed = await _tab_to(tab, "summary")
    assert [name for name in passed if name in ("rename", "delete")] == ["rename", "delete"]
    await keys.press("Space")
    await expect(tab.of("thinking").locator("p")).to_be_visible()
    await _tab_to(tab, "summary")
    await keys.press("Space")
    await _tab_to(tab, "link-button")
    await keys.press("Enter")
    await expect(tab.of("toolcall").locator("[data-part=result]")).to_have_text("x" * 30_000)
    assert await tab.page.evaluate(FOCUS) == {"name": "result", "seen": True}
    await _tab_to(tab, "approve")
    await tab.picture("keyboard")
    await keys.press("Enter")
    run = await puppet.next("again")
    assert run.resume == [{"approved": True}]
    run.end()
    await tab.run("finished")
    await expect(tab.field).to_be_focused()
    await tab.shows_the_log()

    await _tab_to(tab, "rename", back=True)
    await keys.press("Enter")
    await keys.type("renamed")
    await keys.press("Enter")
    await expect(tab.page.locator("#title")).to_have_text("renamed")
    assert (await tab.page.evaluate(FOCUS))["name"] == "rename"
    await keys.press("Tab")
    await keys.press("Enter")
    await expect(tab.page.locator("#delete-dialog")).to_be_visible()
    await keys.press("Escape")
    await expect(tab.page.locator("#delete-dialog")).to_be_hidden()
    await _tab_to(tab, "link", back=True)
    await tab.page.locator("#new-thread").focus()
    await keys.press("Enter")
    await tab.run("none")
    await expect(tab.field).to_be_focused()
    await _tab_to(tab, "link", back=True)
    await keys.press("Enter")
    await expect(tab.of("said").first).to_be_visible()
    await tab.page.locator("#new-thread").evaluate(SHARES_TOO_LATE)
    await tab.run("none")
    await expect(tab.field).to_be_focused()


@pytest.mark.parametrize("color_scheme", ["dark", pytest.param("light", marks=pytest.mark.nightly)])
async def test_on_a_phone(meet: Meet, puppet: Puppets, color_scheme: Scheme) -> None:
    visitor = await meet(
        viewport={"width": 360, "height": 780},
        device_scale_factor=2,
        is_mobile=True,
        has_touch=True,
        color_scheme=color_scheme,
    )
    tab = await visitor.tab()
    await tab.connection("live")
    drawer, opener = tab.page.locator("#drawer"), tab.page.locator("#open-drawer")
    await expect(drawer).to_be_hidden()
    await tab.picture(f"phone-{color_scheme}-welcome")
    await tab.page.locator("#agent option").first.evaluate(
        "(node) => { node.text += 't'.repeat(60); }"
    )
    assert await tab.page.evaluate(GAP) > 0
    question = "A rather long question about nothing in particular"
    await tab.field.fill(question)
    await tab.page.locator("#send").tap()
    run = await puppet.next(question)
    await _everything(run, tab)
    await tab.shows_the_log()
    await tab.page.locator("#to-bottom").tap()
    await expect(tab.page.locator("#to-bottom")).to_be_hidden()
    await expect(tab.of("question").locator("[data-part=approve]")).to_be_in_viewport()
    await tab.picture(f"phone-{color_scheme}-end")
    assert await tab.page.evaluate(OVERFLOW) == []
    assert await tab.page.evaluate(SMALL) == []
    await tab.log.evaluate("(node) => node.scrollTo(0, 0)")
    await tab.picture(f"phone-{color_scheme}-top")

    await opener.tap()
    await expect(drawer).to_be_visible()
    await expect(opener).to_have_attribute("aria-expanded", "true")
    await expect(tab.page.locator("#threads [data-part=rename]")).to_be_visible()
    await tab.picture(f"phone-{color_scheme}-drawer")
    assert await tab.page.evaluate(SMALL) == []
    await tab.page.touchscreen.tap(350, 400)
    await expect(drawer).to_be_hidden()
    await opener.tap()
    await tab.page.locator("#new-thread").tap()
    await expect(drawer).to_be_hidden()
    await expect(tab.page.locator("#welcome")).to_be_visible()
    await opener.tap()
    await tab.page.locator("#threads [data-part=link]").tap()
    await expect(drawer).to_be_hidden()
    await tab.of("question").locator("[data-part=reject]").tap()
    run = await puppet.next(question)
    run.end()
    await tab.run("finished")
    await tab.shows_the_log()


async def test_light_and_dark_can_be_read_and_chosen(tab: Tab, puppet: Puppets) -> None:
    root, toggle = tab.page.locator("html"), tab.page.locator("#theme-toggle")
    await tab.ask("Everything")
    run = await puppet.next("Everything")
    await _everything(run, tab)
    grounds: dict[Scheme, str] = {}
    for scheme in get_args(Scheme):
        await toggle.click()
        await expect(root).to_have_attribute("data-theme", scheme)
        grounds[scheme] = await tab.body.evaluate(GROUND)
        contrasts = await tab.page.evaluate(CONTRAST)
        assert len(contrasts) > 30
        assert [found for found in contrasts if found[0] < 4.5] == []
        await tab.picture(f"everything-{scheme}")
    assert grounds["light"] != grounds["dark"]
    await tab.page.reload()
    await expect(root).to_have_attribute("data-theme", "dark")
    assert await tab.body.evaluate(GROUND) == grounds["dark"]
    await toggle.click()
    await expect(root).to_have_attribute("data-theme", "auto")
    for scheme, ground in grounds.items():
        await tab.page.emulate_media(color_scheme=scheme)
        assert await tab.body.evaluate(GROUND) == ground

    await tab.page.emulate_media(forced_colors="active")
    await tab.field.focus()
    assert (await tab.page.evaluate(FOCUS))["seen"]
    assert await tab.log.evaluate(HIDDEN) > 0
    await tab.page.emulate_media(forced_colors="none", media="print")
    await expect(tab.page.locator("#drawer")).to_be_hidden()
    assert await tab.body.evaluate(GROUND) == grounds["light"]
    assert await tab.log.evaluate(HIDDEN) == 0
    await tab.page.emulate_media(media="screen")

    await tab.page.add_init_script(KEEPS_NOTHING)
    await tab.page.reload()
    await expect(tab.of("answer")).to_be_visible()
    for theme in ("light", "dark"):
        await toggle.click()
        await expect(root).to_have_attribute("data-theme", theme)
    await tab.field.fill("a draft")
    await tab.page.locator("#new-thread").click()
    await tab.page.go_back()
    await expect(tab.field).to_have_value("a draft")


@pytest.mark.parametrize(
    ("width", "height"), [(360, 400), pytest.param(800, 300, marks=pytest.mark.nightly)]
)
async def test_a_long_draft_leaves_room_in_a_low_window(
    tab: Tab, puppet: Puppets, width: int, height: int
) -> None:
    """As above the keyboard of a phone."""
    await tab.ask("Talk")
    run = await puppet.next("Talk")
    await run.say("Much. " * 300)
    run.end()
    await tab.run("finished")
    await tab.page.set_viewport_size({"width": width, "height": height})
    await tab.field.fill("line\n" * 20)
    await expect(tab.page.locator("#send")).to_be_in_viewport(ratio=1)
    stage, composer = tab.page.locator(".stage"), tab.page.locator("#composer")
    above, below = await stage.bounding_box(), await composer.bounding_box()
    assert above is not None
    assert below is not None
    assert above["height"] >= 40
    assert above["y"] + above["height"] <= below["y"]
    await tab.picture(f"low-{width}")


async def test_what_is_written_from_the_right_runs_from_the_right(
    tab: Tab, puppet: Puppets
) -> None:
    """Paragraph by paragraph, whatever the language of the page; code always from the left."""
    for text, runs in (("(1) `שלום` and more", "rtl"), ("And more שלום", "ltr"), ("שלום", "rtl")):
        await tab.field.fill(text)
        # The browser's own `auto` needs the square of a draft's length, and stops the page for it.
        await expect(tab.field).to_have_attribute("dir", runs)
    direction = "(node) => getComputedStyle(node).direction"
    assert await tab.field.evaluate(direction) == "rtl"
    await tab.field.press("Enter")
    run = await puppet.next("שלום")
    await run.think("אני חושב")
    await run.say("שלום, `code` לכם.\n\n- אחת\n- שתיים\n\n```\nשם\n```\n\nAnd English.")
    run.end()
    await tab.run("finished")
    body = tab.of("answer").locator(".block > :is(p, ul, .code)")
    assert await body.evaluate_all(f"nodes => nodes.map({direction})") == [
        *("rtl", "rtl", "rtl", "ltr"),
    ]
    assert await tab.of("answer").locator("pre").evaluate(direction) == "ltr"
    await expect(tab.page.get_by_role("group", name="Thought")).to_be_visible()
    for kind in ("said", "thinking"):
        assert await tab.of(kind).locator("[data-part=text]").evaluate(direction) == "rtl"
    await tab.picture("right-to-left")
    await tab.shows_the_log()
