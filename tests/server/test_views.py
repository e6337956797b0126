"""Views: what clients see of threads, runs and events."""

import msgspec

from netra_backend.core.events import Entry, event_from_json
from netra_backend.core.ids import RunId, RunKey, ThreadId, ThreadKey, UserId
from netra_backend.core.ports import Thread
from netra_backend.core.positions import Position
from netra_backend.core.roles import Role
from netra_backend.core.run import Run, RunStatus
from netra_backend.server.views import event_view, run_view, thread_view

OWNER, BOB = UserId("alice"), UserId("bob")
THREAD = ThreadKey(OWNER, ThreadId("t"))
RUN = Run(
    RunKey(OWNER, RunId("r")),
    THREAD,
    "agent",
    RunStatus.RUNNING,
    "c0ffee",
    Position(7, 3),
)


def seen(view: object) -> object:
    return msgspec.json.decode(msgspec.json.encode(view))


def test_a_run_is_seen_with_its_positions_and_by_names_that_its_reader_knows() -> None:
    shown = {
        "id": "r",
        "thread": "t",
        "user": "alice",
        "agent": "agent",
        "status": "running",
        "started": "7-3",
        "ended": None,
        "correlation": "c0ffee",
    }
    assert seen(run_view(RUN, OWNER)) == shown
    assert seen(run_view(RUN, BOB)) == {**shown, "thread": "alice,t"}
    ended = msgspec.structs.replace(RUN, status=RunStatus.TIMED_OUT, ended=Position(7, 9))
    assert seen(run_view(ended, OWNER)) == {**shown, "status": "timed_out", "ended": "7-9"}


def test_a_thread_is_seen_with_its_newest_run() -> None:
    thread = Thread(THREAD, "Title", 1, 2, Position(7, 9))
    shown = {
        "id": "t",
        "owner": "alice",
        "role": "owner",
        "title": "Title",
        "created_at": 1,
        "updated_at": 2,
        "head": "7-9",
        "run": None,
        "questions": 0,
    }

    assert seen(thread_view(thread, None, 0, OWNER, Role.OWNER)) == shown
    run = {"id": "r", "status": "running"}
    others = {**shown, "id": "alice,t", "role": "read", "run": run, "questions": 2}
    assert seen(thread_view(thread, RUN, 2, BOB, Role.READ)) == others


def test_an_event_is_seen_as_the_bytes_that_are_in_the_log() -> None:
    data = b'{"type":"CUSTOM","name":"x","value":[1.0,1e2,"\\u00e4"],"unknown":null}'
    view = event_view(Entry(Position(7, 4), RunId("r"), 5, event_from_json(data)))

    assert msgspec.json.encode(view) == b'{"id":"7-4","run":"r","at":5,"chunk":' + data + b"}"
