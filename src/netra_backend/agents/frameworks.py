"""Frameworks: which object is an agent of which library, and the adapter that runs it.

An object of a library can exist only if the library is loaded, so nothing is imported to find
out. The adapter is imported when its object has been found; what is missing then is an extra.
"""

import importlib
import json
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from netra_backend.agents.base import Agent
from netra_backend.errors import ConfigError

ADAPTERS = "netra_backend.agents.adapters"


@dataclass(frozen=True, slots=True)
class Framework:
    """A library: how its agents are told, and what runs them.

    `classes` are ``module:class`` names. `signs` are names that `classes`' modules must have, where
    a user's own module could have the same name.
    """

    name: str
    classes: tuple[str, ...]
    adapter: str
    extra: str
    signs: tuple[str, ...] = ()

    def made(self, thing: object) -> bool:
        """Return whether `thing` is an agent of this library."""
        for path in self.classes:
            name, _, attribute = path.partition(":")
            module = sys.modules.get(name)
            kind = getattr(module, attribute, None)
            known = all(hasattr(module, sign) for sign in self.signs)
            if known and isinstance(kind, type) and isinstance(thing, kind):
                return True
        return False


FRAMEWORKS = (
    Framework(
        "pydantic-ai",
        ("pydantic_ai.agent:AbstractAgent",),
        "pydantic_ai:PydanticAIAgent",
        "pydantic-ai",
    ),
    Framework(
        "LangGraph",
        ("langgraph.graph.state:CompiledStateGraph",),
        "langgraph:LangGraphAgent",
        "langgraph",
    ),
    Framework(
        "OpenAI Agents SDK",
        ("agents.agent:Agent",),
        "openai_agents:OpenAIAgentsAgent",
        "openai-agents",
        signs=("AgentBase", "ToolsToFinalOutputResult"),
    ),
    Framework("AG2", ("ag2.agent:Agent",), "ag2:AG2Agent", "ag2"),
    Framework("agno", ("agno.agent:Agent", "agno.team:Team"), "agno:AgnoAgent", "agno"),
    Framework("Strands", ("strands.agent.agent:Agent",), "strands:StrandsAgent", "strands"),
    Framework("ADK", ("google.adk.agents.base_agent:BaseAgent",), "adk:ADKAgent", "adk"),
)
"""In the order in which they are asked."""

_EXTRAS = {
    **{
        path.partition(".")[0].partition(":")[0]: framework.extra
        for framework in FRAMEWORKS
        for path in framework.classes
    },
    "openai": "openai",
    "google": None,  # a name that many packages share
    "google.adk": "adk",
}
"""Import names of libraries, and the extra of this package that installs them."""


def framework_of(thing: object) -> Framework | None:
    """Return the library that `thing` is an agent of, or None."""
    return next((framework for framework in FRAMEWORKS if framework.made(thing)), None)


def wrapped(framework: Framework, thing: object) -> Agent:
    """Return the agent that runs `thing`. Raises ConfigError if the extra is missing."""
    what = f"an agent of {framework.name}"
    return adapter(framework.adapter, what, framework.extra)(thing)


def adapter(path: str, what: str, extra: str) -> Callable[[Any], Agent]:
    """Return the class ``module:class`` of the adapters, which makes agents; `what` needs it.

    Raises ConfigError with the command that installs `extra` if something is not installed.
    """
    name, _, attribute = path.partition(":")
    try:
        module = importlib.import_module(f"{ADAPTERS}.{name}")
        made_by: Callable[[Any], Agent] = getattr(module, attribute)
    except ModuleNotFoundError as error:
        known = extra_of(error.name or "") == extra
        raise ConfigError(needs(what, extra) + ("" if known else f" ({error})")) from error
    except ImportError as error:
        raise ConfigError(f"{what} cannot be run: {error}") from error
    return made_by


def extra_of(module: str) -> str | None:
    """Return the extra of this package that installs `module`, or None."""
    top, _, rest = module.partition(".")
    return _EXTRAS.get(f"{top}.{rest.partition('.')[0]}") or _EXTRAS.get(top)


def missing_extra(error: ImportError, asked: Sequence[str]) -> str | None:
    """Return the extra that installs what an import did not find, or None.

    `asked` is what its statement named. A library that is there and lacks a name is not missing,
    but one that shares its first name with others, as google's do, may be.
    """
    missing = error.name or ""
    deeper = [name for name in asked if name.startswith(f"{missing}.")]
    if isinstance(error, ModuleNotFoundError):
        return next(filter(None, map(extra_of, [missing, *deeper])), None)
    return next(filter(None, map(_EXTRAS.get, deeper)), None)


def needs(what: str, extra: str) -> str:
    """Return the sentence that says how to install what `what` needs."""
    return f"{what}: this needs an extra: {installation(extra, _origin())}"


def installation(extra: str, origin: str) -> str:
    """Return the command that installs `extra` beside this package, from where that came from.

    `origin` is the JSON of its ``direct_url.json`` (PEP 610), "" if it came from an index.
    """
    told = json.loads(origin or "{}")
    folder = url2pathname(urlsplit(told["url"]).path) if "dir_info" in told else None
    if folder is None or not Path(folder, "pyproject.toml").is_file():
        return f"pip install 'netra-backend[{extra}]'"
    editable = ["--editable"] if told["dir_info"].get("editable") else []
    # A clone has an environment of its own, which need not be the shell's.
    return shlex.join([sys.executable, "-m", "pip", "install", *editable, f"{folder}[{extra}]"])


def _origin() -> str:
    try:
        return distribution("netra-backend").read_text("direct_url.json") or ""
    except PackageNotFoundError:  # it is run from its sources
        return ""
