"""For tests of agents and stores: an agent played without a server, a scripted one, a contract.

`play` runs an agent once and returns its events, checked as the server checks them;
`ScriptedAgent` plays a script with gates; `LogContract` are the tests that every store passes.
"""

from netra_backend.testing.log_contract import LogContract
from netra_backend.testing.play import asking, play
from netra_backend.testing.scripted_agent import Gate, ScriptedAgent

__all__ = ["Gate", "LogContract", "ScriptedAgent", "asking", "play"]
