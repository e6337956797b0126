"""A run request: whose run it is, and in which thread."""

from netra_backend.agents.run_request import run_request
from netra_backend.core.ids import RunId, RunKey, ThreadId, ThreadKey, UserId
from netra_backend.testing import asking
from tests.agents.running import ALICE


def test_a_run_is_in_an_own_thread_unless_it_is_said_in_which() -> None:
    given = asking("hi", thread_id="bob,t1", run_id="r1")
    shared = ThreadKey(UserId("bob"), ThreadId("t1"))

    own, other = run_request(ALICE, given), run_request(ALICE, given, thread=shared)

    assert own.key == other.key == RunKey(ALICE, RunId("r1"))
    assert own.thread == ThreadKey(ALICE, ThreadId("bob,t1"))
    assert (other.thread, other.given.thread_id) == (shared, "t1")
    assert given.thread_id == "bob,t1"
