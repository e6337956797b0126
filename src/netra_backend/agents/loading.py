"""Loading: from what a user names or passes to an `Agent`.

========================  ====================================================================
``docs``                  the docs agent
``openai:MODEL``          a model behind an OpenAI-compatible API (extra ``openai``)
``https://HOST/PATH``     an AG-UI endpoint of another server (extra ``remote``)
``module:attribute``      an object of a Python module, taken for what it is, see `adapt`
========================  ====================================================================

``NAME=`` before any of them gives the agent another name than the one it would have: ``docs``,
the model (with ``/`` as ``-``), the host, or the last part of the attribute.
"""

import difflib
import inspect
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Sequence
from functools import partial
from types import ModuleType
from typing import Any, cast, get_origin, get_type_hints
from urllib.parse import urlsplit

from ag_ui.core import BaseEvent, RunAgentInput

from netra_backend.agents.base import Agent
from netra_backend.agents.docs_agent import DocsAgent
from netra_backend.agents.frameworks import FRAMEWORKS, adapter, framework_of, wrapped
from netra_backend.agents.importing import user_module
from netra_backend.agents.run_context import RunContext, current_run
from netra_backend.core.ids import ID_RULE, parse_id
from netra_backend.errors import ConfigError, FrameError

ACCEPTED = (
    "An agent is an async generator function with one argument, "
    "`async def agent(input: RunAgentInput): yield ...`, or with a second one, "
    "`run: RunContext`; a callable declared to return an AsyncIterator; or an agent of "
    + ", ".join(framework.name for framework in FRAMEWORKS)
    + "."
)
"""What every refusal ends with."""

MAX_HINTS = 5
"""Agents of a module that a message names."""

_STREAMS = (AsyncIterator, AsyncIterable, AsyncGenerator)


def load_agents(specs: Sequence[str]) -> dict[str, Agent]:
    """Return the agents that `specs` stand for, by name, in their order.

    Raises ConfigError as `load_agent` does, and if two of them have one name.
    """
    agents: dict[str, Agent] = {}
    for spec in specs:
        name, agent = load_agent(spec)
        if name in agents:
            raise ConfigError(
                f"{spec}: another agent is called {name!r} already; write "
                f"NAME={_split(spec)[2]} to call this one something else."
            )
        agents[name] = agent
    return agents


def load_agent(spec: str) -> tuple[str, Agent]:
    """Return the name and the agent that `spec` stands for, see the table above.

    A module is looked for in the current directory first. Raises ConfigError that names the
    spec, what was found and what is accepted, or what the module raised and where.
    """
    given, equals, source = _split(spec)
    name, agent = _load(spec, source)
    return _name(spec, source, given if equals else name), agent


def _split(spec: str) -> tuple[str, str, str]:
    """Return the name before ``=``, the ``=``, and the rest; an address may have more of them."""
    given, equals, source = spec.partition("=")
    if _is_url(spec) or not equals:
        return "", "", spec
    return (given, equals, source) if _is_url(source) else spec.rpartition("=")


def _is_url(source: str) -> bool:
    return source.startswith(("http://", "https://"))


def _load(spec: str, source: str) -> tuple[str, Agent]:
    if source == "docs":
        return "docs", DocsAgent()
    if _is_url(source):
        return _host(spec, source), adapt(source)
    kind, colon, rest = source.partition(":")
    if not colon or not kind or not rest:
        raise ConfigError(
            f"{spec!r} names no agent: write `docs`, `openai:MODEL`, `https://HOST/PATH`, or "
            f"`module:attribute` such as `my_module:agent`.{_module_hint(source)}"
        )
    if rest.startswith("//"):
        raise ConfigError(f"{spec}: an address begins with http:// or https://.")
    if kind == "openai":
        return rest.replace("/", "-"), adapter("openai:OpenAIAgent", spec, "openai")(rest)
    if not all(part.isidentifier() for part in rest.split(".")):
        raise ConfigError(f"{spec}: {rest!r} is no attribute; write {kind}:ATTRIBUTE.")
    found = _attribute(spec, user_module(spec, kind), rest)
    try:
        return rest.rpartition(".")[2], adapt(found)
    except ConfigError as error:
        raise ConfigError(f"{spec}: {error}") from error


def _name(spec: str, source: str, name: str) -> str:
    """Return `name` if it can stand in an address and in the log."""
    try:
        return parse_id("agent", name)
    except FrameError as error:
        # In its own letters, unlike the error's text, which goes to clients.
        raise ConfigError(f"{spec}: agent is {name!r}; {ID_RULE}; write NAME={source}") from error


def _host(spec: str, url: str) -> str:
    """Return the host and port of `url`: the name of an agent that lives there."""
    try:
        address = urlsplit(url)
        host, port = address.hostname, address.port
    except ValueError as error:
        raise ConfigError(f"{spec}: {error}") from error
    if not host:
        raise ConfigError(f"{spec}: the address names no host")
    return f"{host}:{port}" if port else host


def adapt(thing: object) -> Agent:
    """Return `thing` as an agent: decided by what it is, never by calling it.

    An async generator function, or an instance whose ``__call__`` is one, is an agent as it is,
    and one with a second argument that is declared a `RunContext` gets the run there. So is any
    other callable whose declared return type is AsyncIterator, AsyncIterable or AsyncGenerator.
    The address of an AG-UI endpoint, and an agent of one of `FRAMEWORKS`, is wrapped. Raises
    ConfigError for everything else: what it found, what to change, what is accepted.
    """
    if isinstance(thing, str) and _is_url(thing):
        return adapter("remote:RemoteAgent", thing, "remote")(thing)
    framework = framework_of(thing)
    if framework is not None:
        return wrapped(framework, thing)
    fault = _fault(thing)
    if fault is not None:
        raise ConfigError(f"found {_described(thing)}; {fault}. {ACCEPTED}")
    return _Informed(thing) if _takes_the_run(thing) else cast(Agent, thing)


class _Informed:
    """An agent that calls `thing` with the input and the run that it is part of."""

    def __init__(self, thing: Any) -> None:
        self._thing: Callable[[RunAgentInput, RunContext], AsyncIterator[BaseEvent]] = thing

    def __call__(self, input: RunAgentInput) -> AsyncIterator[BaseEvent]:
        return self._thing(input, current_run())


def _fault(thing: object) -> str | None:
    """Return what keeps `thing` from being an agent, or None."""
    if isinstance(thing, type):
        return "pass an instance of the class or a function"
    if not callable(thing):
        return _unlike_a_callable(thing)
    if not (_takes(thing, None) or _takes_the_run(thing)):
        return (
            f"it is called with {_signature(thing)}, and an agent is called with the run's input, "
            "and with the run if a second argument is declared `RunContext` "
            "(a function that makes an agent has to be called in the module)"
        )
    code = _code(thing)
    if inspect.isasyncgenfunction(code):
        return None
    if inspect.iscoroutinefunction(code):
        return "it returns one value: use `yield` for each event, or drop `async`"
    if inspect.isgeneratorfunction(code):
        return "it is not asynchronous: write `async def` instead of `def`"
    if _declares_a_stream(code):
        return None
    return (
        "it is not asynchronous: write `async def` and `yield`, or, if it returns an async "
        "iterator, declare `-> AsyncIterator[BaseEvent]`"
    )


def _unlike_a_callable(thing: object) -> str:
    if inspect.isasyncgen(thing) or inspect.iscoroutine(thing) or inspect.isgenerator(thing):
        return f"{thing.__qualname__} has returned it: name the function, and do not call it"
    return "it cannot be called"


def _code(thing: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function that runs when `thing` is called: below partials and decorators."""
    while isinstance(thing, partial):
        thing = thing.func
    if not inspect.isroutine(thing):
        thing = type(thing).__call__
    code: Callable[..., Any] = inspect.unwrap(thing)
    return code


def _takes_the_run(thing: object) -> bool:
    """Return whether `thing` needs a second argument, and declares it as `RunContext`."""
    if not callable(thing) or _takes(thing, None) or not _takes(thing, None, None):
        return False
    second = list(inspect.signature(thing).parameters.values())[1].annotation
    return second is RunContext or str(second).rpartition(".")[2].strip("'\"") == "RunContext"


def _takes(thing: Callable[..., Any], *arguments: None) -> bool:
    try:
        inspect.signature(thing).bind(*arguments)
    except TypeError:
        return False
    except ValueError:  # a callable written in C that does not tell
        return True
    return True


def _signature(thing: Callable[..., Any]) -> str:
    signature = inspect.signature(thing).replace(return_annotation=inspect.Signature.empty)
    return str(signature) if signature.parameters else "no argument"


def _declares_a_stream(code: Callable[..., Any]) -> bool:
    try:
        declared = get_type_hints(code).get("return")
    except (
        NameError,
        TypeError,
        AttributeError,
        SyntaxError,
    ):  # an annotation that cannot be looked up
        text = str(getattr(code, "__annotations__", {}).get("return", ""))
        return any(stream.__name__ in text for stream in _STREAMS)
    return (get_origin(declared) or declared) in _STREAMS


def _described(thing: object) -> str:
    """Return what `thing` is, in a few words."""
    if isinstance(thing, type):
        return f"the class {thing.__qualname__}"
    if isinstance(thing, ModuleType):
        return f"the module {thing.__name__}"
    if not inspect.isroutine(thing):
        return f"an object of {type(thing).__module__}.{type(thing).__qualname__}"
    name = f"{thing.__qualname__}{_place(thing)}"
    if inspect.iscoroutinefunction(thing):
        return f"the async function {name}, which does not yield"
    if inspect.isgeneratorfunction(thing):
        return f"the generator function {name}"
    return f"the function {name}"


def _place(function: Callable[..., Any]) -> str:
    """Return where the function is written, in brackets; nothing of one written in C."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return "" if code is None else f" ({code.co_filename}, line {code.co_firstlineno})"


def _attribute(spec: str, module: ModuleType, path: str) -> object:
    found: object = module
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError as error:
            owner = _owner(found) if isinstance(found, ModuleType) else _described(found)
            hint = _hint(name, found)
            raise ConfigError(f"{spec}: {owner} has no attribute {name!r}.{hint}") from error
    return found


def _owner(module: ModuleType) -> str:
    """Return the module with its file: another one of this name may have been meant."""
    return f"{module.__name__} ({getattr(module, '__file__', None) or 'built in'})"


def _hint(name: str, found: object) -> str:
    """Return what may have been meant: names like this one, else those of agents."""
    close = difflib.get_close_matches(name, [n for n in dir(found) if n[0] != "_"])
    if close:
        return f" Did you mean {' or '.join(close)}?"
    own = getattr(found, "__dict__", {})
    agents = [n for n, value in own.items() if n[0] != "_" and _is_agent(value)]
    more = " and others" if len(agents) > MAX_HINTS else ""
    return f" It has agents: {', '.join(agents[:MAX_HINTS])}{more}." if agents else ""


def _module_hint(source: str) -> str:
    """Return what to write where a module or its file is named alone."""
    if difflib.get_close_matches(source, ["docs"]):
        return " Did you mean docs?"
    module = source.removesuffix(".py").removeprefix("./").replace("/", ".")
    named = all(part.isidentifier() for part in module.split("."))
    return f" For one of the module {module} write {module}:ATTRIBUTE." if named else ""


def _is_agent(thing: object) -> bool:
    if framework_of(thing) is not None:
        return True
    return inspect.isasyncgenfunction(thing) and _fault(thing) is None
