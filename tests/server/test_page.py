"""The chat page: its files, its pure modules under Node, and its fold beside the server's."""

import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netra_backend.agents.answers import check_answer
from netra_backend.core.events import Entry, Event
from netra_backend.core.fold import Conversation
from netra_backend.core.resume import merge
from netra_backend.core.run import RunStatus
from netra_backend.errors import CLOSES, ERRORS, Refused, Retry
from netra_backend.server.site import PAGE
from tests.core.test_prelude import prelude_of
from tests.night import examples
from tests.strategies import entries, logs
from tests.table import each_of

NODE = shutil.which("node")
needs_node = pytest.mark.skipif(
    NODE is None, reason="NODE IS MISSING: the page's modules are NOT tested; install Node 20+"
)

TESTS = Path(__file__).parent / "page"
VENDOR = PAGE / "vendor"
OWN = sorted(path for path in PAGE.rglob("*") if path.is_file() and VENDOR not in path.parents)
SVG_NAMESPACE = 'xmlns="http://www.w3.org/2000/svg"'

JsonObject = dict[str, Any]


# --- files ---------------------------------------------------------------------------------


class _Markup(HTMLParser):
    """Everything in an HTML file that a test asks about."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.assets: list[str] = []
        self.inline: list[str] = []
        self.ids: list[str] = []
        self.labels: list[str] = []
        self._script = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        for name, value in attrs:
            if name == "style" or name.startswith("on"):
                self.inline.append(f"<{tag} {name}>")
            if name == "id" and value:
                self.ids.append(value)
        if tag == "style":
            self.inline.append("<style>")
        self._script = tag == "script"
        if tag in ("script", "img"):
            self.assets.append(given.get("src") or "")
        if tag == "link":
            self.assets.append(given.get("href") or "")

    def handle_data(self, data: str) -> None:
        if self._script and data.strip():
            self.inline.append("<script>")

    def handle_endtag(self, tag: str) -> None:
        self._script = False


def _imports(text: str) -> list[str]:
    return re.findall(r"""^(?:import|export)\b[^;]*?\bfrom\s+"([^"]+)";""", text, re.MULTILINE)


@pytest.mark.parametrize("path", sorted(PAGE.glob("*.html")), ids=lambda path: path.name)
def test_markup_has_nothing_inline_and_only_assets_that_exist(path: Path) -> None:
    markup = _Markup(path.read_text(encoding="utf-8"))
    assert markup.inline == []
    assert markup.assets
    for asset in markup.assets:
        assert (PAGE / asset.removeprefix("./").removeprefix("page/")).is_file(), asset
    assert len(set(markup.ids)) == len(markup.ids)


@each_of(OWN, lambda path: path.name)
def test_no_file_of_the_page_names_another_host(path: Path) -> None:
    text = path.read_text(encoding="utf-8").replace(SVG_NAMESPACE, "")
    assert re.findall(r"https?://[^\s\"'`)]+|[\"'(]//[a-z]", text) == []


def test_every_import_leads_to_a_file_and_every_module_is_used() -> None:
    used = {PAGE / "app.js", PAGE / "docs.js", PAGE / "theme.js"}
    for path in PAGE.glob("*.js"):
        for name in _imports(path.read_text(encoding="utf-8")):
            target = (path.parent / name).resolve()
            assert name.startswith("./"), f"{path.name} imports {name}"
            assert target.is_file(), f"{path.name} imports {name}"
            used.add(target)
    assert set(PAGE.rglob("*.js")) == used


def test_every_id_and_template_that_the_modules_ask_for_is_in_the_markup() -> None:
    markup = _Markup((PAGE / "index.html").read_text(encoding="utf-8"))
    asked: set[str] = set()
    for path in PAGE.glob("*.js"):
        text = path.read_text(encoding="utf-8")
        if path.name != "docs.js":
            asked |= set(re.findall(r"""(?:\$|getElementById)\("([\w-]+)"\)""", text))
            asked |= {f"template-{name}" for name in re.findall(r'\bmade\("([\w-]+)"\)', text)}
    assert len(asked) > 30
    assert asked <= set(markup.ids), asked - set(markup.ids)


def test_the_vendored_libraries_are_what_their_list_says() -> None:
    rows = re.findall(r"\| `(\S+\.js)` \|.*`([^`]+\.txt)` \| `([0-9a-f]{64})` \|", _vendor_list())
    assert {name for name, _, _ in rows} == {path.name for path in VENDOR.glob("*.js")}
    for name, licence, digest in rows:
        code = (VENDOR / name).read_bytes()
        assert hashlib.sha256(code).hexdigest() == digest, name
        assert b"sourceMappingURL" not in code, name
        assert (VENDOR / licence).stat().st_size > 500, licence


def test_no_file_of_the_page_names_a_registry() -> None:
    for path in PAGE.rglob("*"):
        if path.is_file():
            assert not re.search(rb"npmjs|unpkg|jsdelivr|cdnjs|pypi", path.read_bytes()), path.name


def _vendor_list() -> str:
    return (VENDOR / "README.md").read_text(encoding="utf-8")


# --- modules under Node --------------------------------------------------------------------


def _node(*arguments: str, given: str | None = None, bound: float = 60.0) -> str:
    assert NODE is not None
    done = subprocess.run(
        [NODE, *arguments], input=given, capture_output=True, text=True, timeout=bound, check=False
    )
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-2000:]}"
    return done.stdout


@needs_node
def test_the_modules_pass_their_own_tests() -> None:
    files = sorted(str(path) for path in TESTS.glob("*.test.mjs"))
    report = _node("--test", "--test-reporter=tap", *files)
    passed = re.search(r"^# pass (\d+)$", report, re.MULTILINE)
    assert passed is not None
    assert int(passed[1]) >= 80
    assert "# skipped 0" in report


@needs_node
def test_the_page_knows_every_code_and_what_may_be_retried() -> None:
    table = _table("errors.js", "ERRORS")
    assert set(table) == {code.value for code in ERRORS}
    for code, row in ERRORS.items():
        assert table[code.value]["retry"] == row.retry.value, code
        assert len(table[code.value]["text"]) > 15, code
    closes = _table("errors.js", "CLOSES")
    browser = {"1005", "1006"}
    assert set(closes) - browser == {str(int(code)) for code in CLOSES}
    for close, row in CLOSES.items():
        assert closes[str(int(close))]["retry"] == row.retry.value, close
    assert {closes[code]["retry"] for code in browser} == {Retry.AT_ONCE.value}


@needs_node
def test_every_way_to_end_badly_has_words() -> None:
    badly = {
        RunStatus.CANCELLED,
        RunStatus.INTERRUPTED,
        RunStatus.TIMED_OUT,
        RunStatus.FAILED,
    }
    assert set(_table("errors.js", "ENDS")) == {status.value for status in badly}


@needs_node
def test_the_server_takes_what_the_page_gives_as_examples() -> None:
    examples = _table("form.js", "EXAMPLES")
    assert examples
    for kind, example in examples.items():
        question = {"responseSchema": {"type": "string", "format": kind}}
        check_answer(question, example, "$")
        with pytest.raises(Refused):
            check_answer(question, "noon", "$")


def _table(module: str, name: str) -> dict[str, Any]:
    code = f"import {{ {name} as t }} from {json.dumps(str(PAGE / module))};"
    code += "process.stdout.write(JSON.stringify(t));"
    table: dict[str, JsonObject] = json.loads(_node("--input-type=module", "--eval", code))
    return table


# --- the fold beside the server's ----------------------------------------------------------


class _Peer:
    """The page's fold, as a process that folds one stream a line."""

    def __init__(self) -> None:
        assert NODE is not None
        self._process = subprocess.Popen(
            [NODE, str(TESTS / "fold_peer.mjs")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def fold(self, events: Sequence[Event]) -> JsonObject:
        """Return what the page shows after these events."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        stream = ",".join(event.data.decode() for event in events)
        self._process.stdin.write(f"[{stream}]\n")
        self._process.stdin.flush()
        shown: JsonObject = json.loads(self._process.stdout.readline())
        return shown

    def close(self) -> None:
        self._process.communicate(timeout=20)


@pytest.fixture(scope="module")
def peer() -> Iterator[_Peer]:
    process = _Peer()
    yield process
    process.close()


def _events(log: Sequence[Entry]) -> list[Event]:
    return [entry.event for entry in log]


@needs_node
@settings(deadline=None, max_examples=examples(60))
@given(log=logs(), cut=st.integers(0, 200))
def test_a_merged_replay_shows_what_every_event_shows(
    peer: _Peer, log: list[Entry], cut: int
) -> None:
    at = cut % (len(log) + 1)
    rest = merge(log[at:], after=at)
    merged = [*_events(log[:at]), *(piece.event for piece in rest)]
    assert peer.fold(merged) == peer.fold(_events(log))


def _run(run: str, question: str, *events: JsonObject, **more: Any) -> list[JsonObject]:
    asked = [{"id": f"{run}-q", "role": "user", "content": question}] if question else []
    given = {"threadId": "t", "runId": run, "messages": asked, **more}
    return [{"type": "RUN_STARTED", "threadId": "t", "runId": run, "input": given}, *events]


def _text(kind: str, id: str, *deltas: str, **start: str) -> list[JsonObject]:
    content = [{"type": f"{kind}_CONTENT", "messageId": id, "delta": delta} for delta in deltas]
    opening = {"type": f"{kind}_START", "messageId": id, **start}
    return [opening, *content, {"type": f"{kind}_END", "messageId": id}]


def _call(id: str, *deltas: str) -> list[JsonObject]:
    arguments = [{"type": "TOOL_CALL_ARGS", "toolCallId": id, "delta": d} for d in deltas]
    opening = {"type": "TOOL_CALL_START", "toolCallId": id, "toolCallName": "find"}
    return [opening, *arguments, {"type": "TOOL_CALL_END", "toolCallId": id}]


def _finished(run: str, **outcome: Any) -> JsonObject:
    return {"type": "RUN_FINISHED", "threadId": "t", "runId": run, "outcome": outcome}


def _conversation() -> list[Event]:
    """Return a thread in which everything happens that the page shows."""
    result = {"type": "TOOL_CALL_RESULT", "messageId": "m1", "toolCallId": "c1", "content": "yes"}
    question = {"id": "i1", "reason": "approval", "message": "May I?", "toolCallId": "c2"}
    activity = {"messageId": "p", "activityType": "plan"}
    patch = [{"op": "add", "path": "/n", "value": 2}]
    wires = [
        *_run("r1", "first", {"type": "STEP_STARTED", "stepName": "search"}),
        *_text("REASONING_MESSAGE", "k1", "I ", "think", role="reasoning"),
        *_call("c1", '{"q":', "1}"),
        result,
        {"type": "STEP_FINISHED", "stepName": "search"},
        *_text("TEXT_MESSAGE", "a1", "The ", "answer", role="assistant"),
        {"type": "ACTIVITY_SNAPSHOT", **activity, "content": {"n": 1}},
        {"type": "ACTIVITY_DELTA", **activity, "patch": patch},
        _finished("r1", type="success"),
        *_run("r2", "second", *_call("c2", "{}")),
        _finished("r2", type="interrupt", interrupts=[question]),
        *_run("r3", "", resume=[{"interruptId": "i1", "status": "resolved", "payload": True}]),
        *_text("TEXT_MESSAGE", "a2", "Done.", role="assistant"),
        _finished("r3", type="success"),
        *_run("r4", "third", *_text("TEXT_MESSAGE", "a3", "Hm", role="assistant")),
        {"type": "RUN_ERROR", "message": "it broke", "code": "agent_failed"},
        *_run("r5", "fourth", *_call("c3", "{}")),
        {"type": "RUN_ERROR", "message": "the server stopped", "code": "interrupted"},
        *_run("r6", ""),
        _finished("r6", type="cancelled"),
        *_run("r7", "fifth", *_text("TEXT_MESSAGE", "a4", "Two", role="assistant")),
        _finished("r7", type="interrupt", interrupts=[{"id": "i2"}, {"id": "i3"}]),
        *_run("r8", "sixth", *_call("c4", "{}"), *_call("c5", "{}")),
        _finished("r8", type="interrupt", interrupts=[{"id": "i4", "toolCallId": "c5"}]),
        *_run("r9", "", resume=[{"interruptId": "i4", "status": "cancelled"}]),
        *_call("c6", "{}"),
        _finished("r9", type="success"),
        *_run("r10", "last", {"type": "STEP_STARTED", "stepName": "last"}, *_call("c7", "{}")),
        {"type": "CUSTOM", "name": "netra.progress", "value": {"text": "Nearly", "done": 1}},
    ]
    return _events(entries(wires))


@needs_node
def test_whoever_joins_anywhere_ends_up_with_the_same(peer: _Peer) -> None:
    events = _conversation()
    whole = peer.fold(events)
    conversation = Conversation()
    for at, event in enumerate(events, start=1):
        conversation.apply(event)
        joined = peer.fold([*prelude_of(conversation), *events[at:]])
        assert joined == whole, f"joined at {at}"


@needs_node
def test_whoever_joins_sees_at_once_what_the_others_see(peer: _Peer) -> None:
    events = _conversation()
    conversation = Conversation()
    for at, event in enumerate(events, start=1):
        conversation.apply(event)
        here, joined = peer.fold(events[:at]), peer.fold(prelude_of(conversation))
        assert joined == here, f"joined at {at}"


@needs_node
@settings(deadline=None, max_examples=examples(60))
@given(log=logs(max_runs=4), cut=st.integers(0, 200))
def test_whoever_joins_any_thread_sees_what_its_runs_left(
    peer: _Peer, log: list[Entry], cut: int
) -> None:
    events = _events(log)
    at = 1 + cut % len(events)
    conversation = Conversation()
    for event in events[:at]:
        conversation.apply(event)
    joined = peer.fold([*prelude_of(conversation), *events[at:]])
    whole = peer.fold(events)
    assert _marks(joined) == _marks(whole)
    assert joined["run"] == whole["run"]


def _marks(shown: JsonObject) -> list[JsonObject]:
    """Return what runs have left, in its order."""
    return [item for item in shown["items"] if item["kind"] in ("question", "ending")]
