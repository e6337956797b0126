"""The terms: what a server tells each client of ``netra.v1`` at first, and holds it to.

They are the same for all, and are put together once: it is on the way of every opening.
"""

from msgspec import Struct

from netra_backend.agents.runner import Runner
from netra_backend.config import Settings
from netra_backend.core.frames import MAX_REQUEST_LENGTH, Limits
from netra_backend.core.ids import MAX_ID_LENGTH
from netra_backend.core.session import SessionLimits


class Terms(Struct, frozen=True):
    """What of a ``ready`` frame is every client's, as `core.frames.Ready` has it.

    `session` are the bounds that the session keeps, `rate` and `burst` the commands that a
    connection may send in a second and at once.
    """

    heartbeat: int
    limits: Limits
    agents: list[str]
    when_busy: dict[str, str]
    session: SessionLimits
    rate: int
    burst: int


def terms_of(settings: Settings, runner: Runner) -> Terms:
    """Return what the settings and the runner's agents make of it."""
    return Terms(
        heartbeat=int(settings.ping_seconds * 1000),
        limits=Limits(
            frame_bytes=settings.frame_bytes,
            head_bytes=settings.head_bytes,
            id_length=MAX_ID_LENGTH,
            request_length=MAX_REQUEST_LENGTH,
            title_length=settings.title_length,
            followed_threads=settings.followed_threads,
            commands_per_second=settings.commands_per_second,
            command_burst=settings.command_burst,
            connections_per_user=settings.connections_per_user,
            runs_per_user=settings.runs_per_user,
        ),
        agents=runner.agents,
        when_busy=runner.when_busy,
        session=SessionLimits(
            followed_threads=settings.followed_threads, bad_frames=settings.bad_frames
        ),
        rate=settings.commands_per_second,
        burst=settings.command_burst,
    )
