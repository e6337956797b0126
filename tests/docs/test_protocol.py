"""docs/protocol.md says exactly what core/frames.py and errors.py say."""

import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from netra_backend.core import codec, frames
from netra_backend.core.ids import MAX_ID_LENGTH
from netra_backend.core.run import RunStatus
from netra_backend.errors import CLOSES, ERRORS, CloseCode, ErrorCode

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")

COMMANDS = get_args(frames.ClientFrame)
ANSWERS = tuple(frames.ServerFrame.__subclasses__())


def error_table() -> str:
    rows = ["| code | HTTP | fault | retry | meaning |", "|---|---|---|---|---|"]
    rows += [
        f"| `{code.value}` | {row.status} | {row.fault.value} | {row.retry.value} | {row.meaning} |"
        for code, row in ERRORS.items()
    ]
    return "\n".join(rows)


def close_table() -> str:
    rows = ["| code | reason | fault | retry | meaning |", "|---|---|---|---|---|"]
    rows += [
        f"| {int(code)} | {row.reason} | {row.fault.value} | {row.retry.value} | {row.meaning} |"
        for code, row in CLOSES.items()
    ]
    return "\n".join(rows)


def section(title: str) -> str:
    match = re.search(rf"^(#+) {re.escape(title)}\n(.*?)(?=^#{{1,3}} |\Z)", PAGE, re.M | re.S)
    assert match is not None, f"docs/protocol.md has no section {title!r}"
    return match[2]


def documented_fields(title: str) -> dict[str, bool]:
    """Return the fields of a frame's table, and whether each is optional."""
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*) \| ?[^|]*\|$", section(title), re.M)
    return {name: "optional" in kind for name, kind in rows}


def real_fields(frame: type[msgspec.Struct]) -> dict[str, bool]:
    fields = {field.encode_name: not field.required for field in msgspec.structs.fields(frame)}
    return {"type": False, **fields}


@pytest.mark.parametrize("frame", [*COMMANDS, *ANSWERS], ids=lambda frame: frame.__name__)
def test_each_frame_is_documented_field_by_field(frame: type[msgspec.Struct]) -> None:
    tag = frame.__struct_config__.tag
    assert documented_fields(tag) == real_fields(frame)


def test_no_other_frame_is_documented() -> None:
    tags = {frame.__struct_config__.tag for frame in (*COMMANDS, *ANSWERS)}
    documented = set(re.findall(r'^\| `type` \| `"(\w+)"` \|', PAGE, re.M))
    assert documented == tags


def test_the_tables_of_codes_are_those_of_the_code() -> None:
    assert error_table() in PAGE, f"expected in docs/protocol.md:\n{error_table()}"
    assert close_table() in PAGE, f"expected in docs/protocol.md:\n{close_table()}"
    assert len(ERRORS) == len(ErrorCode)
    assert len(CLOSES) == len(CloseCode)


def test_every_resume_and_status_is_explained() -> None:
    rows = re.findall(r"^\| `(\w+)` \| [A-Z]", section("followed"), re.M)
    assert set(rows) == {kind.value for kind in frames.Resume}
    for status in RunStatus:
        assert f"`{status.value}`" in section("followed")


def test_the_limits_are_those_of_the_code() -> None:
    table = section("Limits")
    for number in (codec.MAX_DEPTH, frames.MAX_REQUEST_LENGTH, MAX_ID_LENGTH, 1_048_576, 4_194_304):
        assert f"| {number:,} |" in table


def test_the_descriptions_for_programs_are_linked_from_the_beginning() -> None:
    beginning = PAGE.split("\n## ")[0]
    for path in ("/asyncapi.json", "/openapi.json"):
        assert f"`GET {path}`" in beginning
        assert f"| `GET {path}` |" in section("Descriptions for programs")


def test_the_examples_of_event_frames_are_what_the_codec_writes() -> None:
    from netra_backend.core.events import event_from_json
    from netra_backend.core.ids import ThreadId
    from netra_backend.core.positions import Position
    from netra_backend.core.resume import Piece

    examples = re.findall(r'^(\{"id":.*\})$', section("Event frames"), re.M)
    assert len(examples) == 2
    for example, first in zip(examples, (42, 42), strict=True):
        said = msgspec.json.decode(example)
        last = Position(*(int(part) for part in said["id"].split("-")))
        chunk = event_from_json(example[example.index('"chunk":') + 8 : -1].encode())
        frame = codec.event_frame(ThreadId(said["thread"]), Piece(first, last, chunk))
        assert frame.decode() == example
