"""Frames: the table of the protocol, frame by frame."""

from typing import get_args

import msgspec
import pytest

from netra_backend.core import frames
from netra_backend.core.frames import (
    Accepted,
    Cancelled,
    Decided,
    Draining,
    ErrorFrame,
    Followed,
    Limits,
    Pong,
    Ready,
    Resume,
    RunState,
    ServerFrame,
    Unfollowed,
)
from netra_backend.errors import ErrorCode

LIMITED = {
    "frame_bytes": 1,
    "head_bytes": 2,
    "id_length": 3,
    "request_length": 4,
    "title_length": 5,
    "followed_threads": 6,
    "commands_per_second": 7,
    "command_burst": 8,
    "connections_per_user": 9,
    "runs_per_user": 10,
}
LIMITS = Limits(**LIMITED)
READY = {"connection": "c", "user": "u", "protocol": "netra.v1", "heartbeat": 20_000}

WRITTEN: list[tuple[ServerFrame, dict[str, object]]] = [
    (
        Ready(**READY, limits=LIMITS, agents=["a"], when_busy={"a": "reject"}),  # type: ignore[arg-type]
        {
            "type": "ready",
            **READY,
            "limits": LIMITED,
            "agents": ["a"],
            "when_busy": {"a": "reject"},
        },
    ),
    (
        Accepted(request="1", thread="t", run="r", id="1-1"),
        {"type": "accepted", "request": "1", "thread": "t", "run": "r", "id": "1-1"},
    ),
    (
        Followed(request="1", thread="t", resume=Resume.UNKNOWN),
        {"type": "followed", "request": "1", "thread": "t", "resume": "unknown"},
    ),
    (
        Followed(
            request="1",
            thread="t",
            resume=Resume.SNAPSHOT,
            id="1-9",
            run=RunState("r", "running"),
            prelude=[msgspec.Raw(b'{"type":"RUN_STARTED"}')],
        ),
        {
            "type": "followed",
            "request": "1",
            "thread": "t",
            "resume": "snapshot",
            "id": "1-9",
            "run": {"id": "r", "status": "running"},
            "prelude": [{"type": "RUN_STARTED"}],
        },
    ),
    (
        Followed(request="1", thread="t", resume=Resume.GAP, id="1-0", prelude=[]),
        {
            "type": "followed",
            "request": "1",
            "thread": "t",
            "resume": "gap",
            "id": "1-0",
            "prelude": [],
        },
    ),
    (Unfollowed(thread="t"), {"type": "unfollowed", "thread": "t"}),
    (
        Cancelled(request="1", run="r", id="1-5"),
        {"type": "cancelled", "request": "1", "run": "r", "id": "1-5"},
    ),
    (
        Decided(
            request="1",
            interrupt="i",
            by="u",
            won=False,
            status="resolved",
            payload=msgspec.Raw(b"null"),
        ),
        {
            "type": "decided",
            "request": "1",
            "interrupt": "i",
            "by": "u",
            "won": False,
            "status": "resolved",
            "payload": None,
        },
    ),
    (Pong(), {"type": "pong"}),
    (Draining(retry_after_ms=0), {"type": "draining", "retry_after_ms": 0}),
    (
        ErrorFrame(code=ErrorCode.TOO_MANY, message="no", retry=False, request="1", where="$"),
        {
            "type": "error",
            "code": "too_many",
            "message": "no",
            "retry": False,
            "request": "1",
            "where": "$",
        },
    ),
]


@pytest.mark.parametrize(("frame", "written"), WRITTEN)
def test_what_the_server_writes(frame: ServerFrame, written: dict[str, object]) -> None:
    assert msgspec.json.decode(msgspec.json.encode(frame)) == written


def test_every_frame_of_the_server_is_in_the_table() -> None:
    assert {type(frame) for frame, _ in WRITTEN} == set(ServerFrame.__subclasses__())


def test_commands_and_answers_of_the_protocol() -> None:
    commands = {frame.__struct_config__.tag for frame in get_args(frames.ClientFrame)}
    assert commands == {"run", "follow", "unfollow", "cancel", "decide", "auth", "ping"}
    answers = {frame.__struct_config__.tag for frame in ServerFrame.__subclasses__()}
    assert answers == {
        "ready",
        "accepted",
        "followed",
        "unfollowed",
        "cancelled",
        "decided",
        "pong",
        "draining",
        "error",
    }
    assert {answer.value for answer in Resume} == {
        "caught_up",
        "replay",
        "snapshot",
        "gap",
        "denied",
        "unknown",
    }


def test_frames_are_frozen() -> None:
    with pytest.raises(AttributeError):
        Pong().request = "1"  # type: ignore[misc]
