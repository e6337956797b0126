"""The edges, and what each can do: one table for every test that runs through all of them.

Each is driven through a published client under Node (tests/e2e/node).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from tests.contract.stage import Scenario


class Cancels(Enum):
    """Who ends a run when a person presses stop."""

    CLIENT = "the client asks the server to"
    API = "the client only leaves: POST /runs/{run}/cancel ends the run"


class Resumes(Enum):
    """How a client gets the rest of a run whose connection was cut."""

    ITSELF = "it comes back by itself"
    ASKS = "it is told to come back"


@dataclass(frozen=True)
class Edge:
    """One way out: its driver under Node, and how it cancels and resumes.

    `call` are arguments for the driver; `rejoin` is the call that brings the rest after a cut.
    """

    name: str
    driver: str
    cancels: Cancels
    resumes: Resumes
    call: Mapping[str, str] = field(default_factory=dict)
    rejoin: str = "resume"
    cannot: Mapping[Scenario, str] = field(default_factory=dict)


EDGES = (
    *(
        Edge(name, "ag-ui", Cancels.API, Resumes.ASKS, {"by": name})
        for name in ("ag-ui 1.0.0", "ag-ui 0.0.59", "agentcore")
    ),
    Edge("tanstack socket", "tanstack", Cancels.CLIENT, Resumes.ITSELF, {"by": "socket"}),
    Edge("tanstack sse", "tanstack", Cancels.API, Resumes.ITSELF, {"by": "sse"}),
    Edge("copilotkit", "copilotkit", Cancels.CLIENT, Resumes.ASKS, {}, rejoin="connect"),
    Edge("ai-sdk", "ai-sdk", Cancels.CLIENT, Resumes.ASKS),
)
