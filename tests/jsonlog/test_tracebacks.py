"""Exceptions as data, complete and bounded."""

from typing import Any

from netra_backend.jsonlog.tracebacks import (
    INNER_FRAMES,
    MAX_EXCEPTIONS,
    MAX_NOTES,
    OUTER_FRAMES,
    describe,
)
from tests.jsonlog.hostile_classes import HostileError
from tests.jsonlog.hostile_makers import cyclic_error, group, odd_notes, raised


def shown(error: BaseException) -> Any:
    return describe(error, str)


def test_cause_notes_and_frames() -> None:
    try:
        try:
            int("x")
        except ValueError as inner:
            inner.add_note("while reading")
            raise KeyError("k") from inner
    except KeyError as outer:
        error = shown(outer)
    assert list(error) == ["type", "message", "frames", "cause"]
    assert (error["type"], error["message"]) == ("KeyError", "'k'")
    frame = error["frames"][-1]
    assert frame["file"] == __file__
    assert frame["function"] == "test_cause_notes_and_frames"
    assert type(frame["line"]) is int
    assert error["cause"]["type"] == "ValueError"
    assert error["cause"]["notes"] == ["while reading"]


def test_the_context_is_there_unless_it_was_suppressed() -> None:
    def fail(*, suppressed: bool) -> BaseException:
        try:
            try:
                int("x")
            except ValueError:
                if suppressed:
                    raise KeyError("k") from None
                raise KeyError("k")  # noqa: B904 - the context is what is tested
        except KeyError as error:
            return error

    assert shown(fail(suppressed=False))["context"]["type"] == "ValueError"
    assert "context" not in shown(fail(suppressed=True))


def test_members_of_a_group() -> None:
    error = shown(group())
    assert error["notes"] == ["a note \ud800"]
    assert [one["type"] for one in error["exceptions"]] == ["ValueError", "ExceptionGroup"]
    assert error["exceptions"][1]["exceptions"][0]["message"] == "b"


def test_a_large_group_says_how_much_is_missing() -> None:
    error = shown(ExceptionGroup("g", [ValueError(str(i)) for i in range(100)]))
    assert error["exceptions"][-1] == {"$cut": f"{100 - MAX_EXCEPTIONS} more items"}
    assert "$cut" in error["exceptions"][MAX_EXCEPTIONS - 1]


def test_a_cycle_of_causes_ends() -> None:
    error = shown(cyclic_error())
    assert error["cause"]["cause"] == {"type": "ValueError", "$cut": "described above"}


def test_a_long_chain_ends() -> None:
    error: BaseException = ValueError("0")
    for number in range(1, 10_000):
        outer = ValueError(str(number))
        outer.__cause__ = error
        error = outer
    one, length = shown(error), 0
    while "cause" in one:
        one, length = one["cause"], length + 1
    assert length == MAX_EXCEPTIONS
    assert one["$cut"] == f"more than {MAX_EXCEPTIONS} exceptions"


def test_a_long_traceback_keeps_both_ends() -> None:
    frames = shown(raised(200))["frames"]
    assert len(frames) == OUTER_FRAMES + INNER_FRAMES + 1
    assert frames[OUTER_FRAMES] == {"$cut": "152 more frames"}
    assert frames[0]["function"] == "raised"
    assert frames[-1]["function"] == "fail"


def test_hostile_exceptions() -> None:
    assert shown(HostileError())["message"] == "<str failed: SystemExit>"
    assert shown(odd_notes())["notes"] == ["<str failed: SystemExit>", "3"]
    noted = ValueError("x")
    noted.__notes__ = ["n"] * 1_000
    assert len(shown(noted)["notes"]) == MAX_NOTES
