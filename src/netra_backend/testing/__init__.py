"""For tests of agents and stores: an agent played without a server, a scripted one, a contract.

`play` runs an agent once and returns its events, checked as the server checks them;
`ScriptedAgent` plays a script with gates; `LogContract` are the tests that every store passes.
The names load when they are first used: pytest imports this package for its plug-in,
`netra_backend.testing.strict_logs`, in every run.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from netra_backend.testing.log_contract import LogContract
    from netra_backend.testing.player import asking, play
    from netra_backend.testing.scripted_agent import Gate, ScriptedAgent

__all__ = ["Gate", "LogContract", "ScriptedAgent", "asking", "play"]

_HOMES = {
    "Gate": "scripted_agent",
    "LogContract": "log_contract",
    "ScriptedAgent": "scripted_agent",
    "asking": "player",
    "play": "player",
}


def __getattr__(name: str) -> Any:
    """Return a public name from the module where it lives (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
