"""A run request: what somebody asks of the runner, in one piece."""

from ag_ui.core import RunAgentInput
from msgspec import Struct

from netra_backend.core.ids import RunId, RunKey, ThreadId, ThreadKey, UserId


class RunRequest(Struct, frozen=True):
    """The run `key` in `thread`, which `given` describes.

    `agent` is the name of its agent, None for the default. `resumes` is for the runs that follow
    from an answer: nobody else may take their names. `epoch` is that of the thread in which the run
    has waited: where the thread of this key has another one, the run was deleted with the old one.
    """

    key: RunKey
    thread: ThreadKey
    given: RunAgentInput
    agent: str | None = None
    resumes: bool = False
    epoch: int | None = None

    @property
    def opens(self) -> bool:
        """Whether its thread is created if there is none: not by what belongs to one there was."""
        belongs = self.epoch is not None or self.given.resume
        return self.thread.owner == self.key.owner and not belongs


def run_request(
    user: UserId,
    given: RunAgentInput,
    *,
    agent: str | None = None,
    thread: ThreadKey | None = None,
    resumes: bool = False,
) -> RunRequest:
    """Return the request of `user`.

    `thread` is the user's own that `given` names, unless it is somebody else's that the user may
    write to.
    """
    thread = thread or ThreadKey(user, ThreadId(given.thread_id))
    given = given.model_copy(update={"thread_id": thread.id})
    return RunRequest(RunKey(user, RunId(given.run_id)), thread, given, agent, resumes)
