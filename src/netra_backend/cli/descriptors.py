"""Descriptors: how many files and sockets the system lets a process have open.

Where they run out nobody is refused with a code: the system takes connections, and ends them. Many
systems let a process have 1,024 unless it asks for more.
"""

import errno
import os
import resource

from netra_backend import jsonlog
from netra_backend.config import Settings

log = jsonlog.get_logger(__name__)

BESIDE = 1_000
"""Descriptors for all that is no connection of a client: the log's files, what agents open."""

OPEN_MAX = 10_240
"""What macOS allows where it does not say what it allows."""


def ask_for_descriptors(settings: Settings) -> None:
    """Let this process, and those that it starts, have as many connections as the settings say.

    Warn where it may not, if somebody has said how many: the default is more than many want.
    """
    wanted = settings.connections + BESIDE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    may = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    allowed = next((most for most in (may, min(may, OPEN_MAX)) if _allows(most, hard)), soft)
    if allowed < wanted and "connections" in settings.model_fields_set:
        about = {"descriptors": allowed, "connections": settings.connections}
        log.warning("the system allows fewer connections than the settings", extra=about)


def _allows(most: int, hard: int) -> bool:
    """Return whether the system lets us have so many, and has us have them."""
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    except (OSError, ValueError):
        return False
    return True


class DescriptorWatch:
    """Tells when the system lets nothing more be opened, and when it does again."""

    def __init__(self) -> None:
        self._are_out = False

    def look(self) -> None:
        """Try to open something. Call it each second: who is cut off leaves no other trace."""
        why = _why_not()
        if (why is not None) == self._are_out:
            return
        self._are_out = why is not None
        about = {"descriptors": resource.getrlimit(resource.RLIMIT_NOFILE)[0]}
        if self._are_out:
            log.error("no descriptor is left; who connects is cut off", extra=about | {"why": why})
        else:
            log.warning("there are descriptors again", extra=about)


def _why_not() -> str | None:
    """Return why nothing can be opened, None where it can."""
    try:
        os.close(os.open("/", os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        return error.strerror if error.errno in (errno.EMFILE, errno.ENFILE) else None
    return None
