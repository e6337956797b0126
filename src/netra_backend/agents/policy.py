"""Policy: what the runs of one agent may use, and what happens when their thread is busy."""

import difflib
from collections.abc import Iterable

from msgspec import Struct

from netra_backend.agents.execution import Limits
from netra_backend.config import AgentSettings, Settings, WhenBusy
from netra_backend.errors import ConfigError


class Policy(Struct, frozen=True):
    """The limits of one run, of how many at once, and of how many wait in a thread.

    `concurrent` are those of the agent, `per_user` those of one user with whatever agents.
    """

    limits: Limits
    concurrent: int | None = None
    when_busy: WhenBusy = WhenBusy.REJECT
    queued: int = 16
    per_user: int | None = None


def policies(settings: Settings, agents: Iterable[str]) -> dict[str, Policy]:
    """Return the policy of each agent: its own settings, else those for all.

    Raises ConfigError for settings of an agent that is not there.
    """
    names = list(agents)
    for name in settings.agents:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"settings: agents.{name}: there is no agent of that name{hint}")
    return {name: _policy(settings, settings.agents.get(name, AgentSettings())) for name in names}


def _policy(settings: Settings, own: AgentSettings) -> Policy:
    limits = Limits(
        own.run_timeout or settings.run_timeout,
        own.run_events or settings.run_events,
        settings.grace_seconds,
    )
    concurrent = own.concurrent_runs or settings.concurrent_runs
    when_busy = own.when_busy or settings.when_busy
    return Policy(limits, concurrent, when_busy, settings.queued_runs, settings.runs_per_user)
