"""What can be loaded as an agent, and what is said about everything else."""

import sys
from collections.abc import AsyncIterator, Iterator
from functools import partial, wraps
from pathlib import Path
from typing import Any

import pytest
from ag_ui.core import BaseEvent, RunAgentInput, StepFinishedEvent, StepStartedEvent

from netra_backend.agents.docs_agent import DocsAgent
from netra_backend.agents.frameworks import needs
from netra_backend.agents.loading import ACCEPTED, adapt, load_agent, load_agents
from netra_backend.errors import ConfigError
from netra_backend.testing.player import asking, play

pytestmark = pytest.mark.anyio

MODULE = """
from functools import partial
from ag_ui.core import StepFinishedEvent, StepStartedEvent

async def agent(input):
    yield StepStartedEvent(step_name="s")
    yield StepFinishedEvent(step_name="s")

async def forgetful(input):
    return []

class Team:
    lead = agent

number = 5
"""


def refusal(spec: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_agent(spec)
    return str(caught.value)


# --- specs ---


async def test_a_module_of_the_current_directory(module) -> None:
    module("my_module.py", MODULE)
    name, agent = load_agent("my_module:agent")

    assert name == "agent"
    assert len(await play(agent, asking(""))) == 2


async def test_a_dotted_module_and_a_dotted_attribute(module) -> None:
    module("my_package/__init__.py", "")
    module("my_package/my_module.py", MODULE)

    assert load_agent("my_package.my_module:Team.lead")[0] == "lead"


def test_docs() -> None:
    name, agent = load_agent("docs")

    assert name == "docs"
    assert isinstance(agent, DocsAgent)


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("openai:gpt-5", "gpt-5"),
        ("openai:llama3:8b", "llama3:8b"),
        ("openai:org/model", "org-model"),
    ],
)
def test_an_openai_model(monkeypatch, spec: str, name: str) -> None:
    from netra_backend.agents.adapters.openai import OpenAIAgent

    monkeypatch.setenv("OPENAI_API_KEY", "k")
    loaded, agent = load_agent(spec)

    assert loaded == name
    assert isinstance(agent, OpenAIAgent)


def test_an_openai_model_without_a_key(monkeypatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_ADMIN_KEY", raising=False)

    assert refusal("openai:gpt-5").startswith("openai:gpt-5: set OPENAI_API_KEY")


@pytest.mark.parametrize("spec", ["", "agent", "my_module:", ":agent", "docs2"])
def test_what_names_nothing(spec: str) -> None:
    assert refusal(spec).startswith(
        f"{spec!r} names no agent: write `docs`, `openai:MODEL`, `https:"
    )


@pytest.mark.parametrize(
    ("spec", "hint"),
    [
        ("doc", "Did you mean docs?"),
        ("shop", "For one of the module shop write shop:ATTRIBUTE."),
        ("./shop.py", "For one of the module shop write shop:ATTRIBUTE."),
        ("shop/desk.py", "For one of the module shop.desk write shop.desk:ATTRIBUTE."),
        ("my-shop", "such as `my_module:agent`."),
        ("shop:", "such as `my_module:agent`."),
    ],
)
def test_what_names_a_module_alone_is_told_what_to_write(spec: str, hint: str) -> None:
    assert refusal(spec).endswith(hint)


def test_openai_without_the_extra(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    monkeypatch.delitem(sys.modules, "netra_backend.agents.adapters.openai", raising=False)

    assert refusal("openai:gpt-5") == needs("openai:gpt-5", "openai")


def test_a_missing_attribute_with_close_names(module, tmp_path: Path) -> None:
    module("my_module.py", MODULE)

    assert refusal("my_module:agnet") == (
        f"my_module:agnet: my_module ({tmp_path}/my_module.py) has no attribute 'agnet'. "
        "Did you mean agent?"
    )
    assert refusal("my_module:Team.leader").startswith(
        "my_module:Team.leader: the class Team has no attribute 'leader'. Did you mean lead?"
    )
    assert refusal("my_module:number.zzz").endswith(
        "an object of builtins.int has no attribute 'zzz'."
    )


def test_a_missing_attribute_unlike_all_others_with_what_there_is(module, tmp_path: Path) -> None:
    module("my_module.py", MODULE)
    module("empty.py", "from os import path\nasync def one(): yield 1\n")

    assert refusal("my_module:zzz").endswith("has no attribute 'zzz'. It has agents: agent.")
    assert refusal("my_module:Team.zzz").endswith("has no attribute 'zzz'. It has agents: lead.")
    assert refusal("empty:zzz") == (
        f"empty:zzz: empty ({tmp_path}/empty.py) has no attribute 'zzz'."
    )
    assert refusal("sys:zzz") == "sys:zzz: sys (built in) has no attribute 'zzz'."


def test_a_refusal_names_the_spec_what_was_found_where_and_what_is_accepted(
    module, tmp_path: Path
) -> None:
    module("my_module.py", MODULE)

    assert refusal("my_module:forgetful") == (
        f"my_module:forgetful: found the async function forgetful ({tmp_path}/my_module.py, line "
        "9), which does not yield; it returns one value: use `yield` for each event, or drop "
        f"`async`. {ACCEPTED}"
    )


def test_a_name_may_be_given(module) -> None:
    module("my_module.py", MODULE)

    assert load_agent("support=my_module:agent")[0] == "support"
    assert list(load_agents(["my_module:agent", "b=my_module:agent", "docs"])) == [
        "agent",
        "b",
        "docs",
    ]


def test_two_agents_cannot_have_one_name(module) -> None:
    module("my_module.py", MODULE)

    with pytest.raises(ConfigError) as caught:
        load_agents(["my_module:agent", "my_module:Team.lead", "docs", "my_module:agent"])
    assert str(caught.value) == (
        "my_module:agent: another agent is called 'agent' already; write NAME=my_module:agent to "
        "call this one something else."
    )

    with pytest.raises(ConfigError, match="write NAME=my_module:agent to call"):
        load_agents(["x=my_module:Team.lead", "x=my_module:agent"])


@pytest.mark.parametrize("name", ["", "two words", "a/b", "\u00fcn\u00ef"])
def test_a_name_must_fit_in_an_address(name: str) -> None:
    told = refusal(f"{name}=docs")
    assert told.startswith(f"{name}=docs: agent is '{name}'; an id is ")
    assert told.endswith("; write NAME=docs")


@pytest.mark.parametrize("path", [":", "a..b", ".a", "a b", "1"])
def test_what_can_be_no_attribute_is_not_looked_for(path: str) -> None:
    assert refusal(f"nowhere:{path}").endswith(
        f"{path!r} is no attribute; write nowhere:ATTRIBUTE."
    )


# --- things ---


async def generator(input: RunAgentInput) -> AsyncIterator[BaseEvent]:
    yield StepStartedEvent(step_name="s")
    yield StepFinishedEvent(step_name="s")


async def bare(input):
    async for event in generator(input):
        yield event


async def two(input, more):
    yield more


async def with_default(input, more=1):
    async for event in generator(input):
        yield event


def declared(input: RunAgentInput) -> AsyncIterator[BaseEvent]:
    return generator(input)


def declared_in_words(input: "Unknown") -> "AsyncIterator[BaseEvent]":  # noqa: F821 - on purpose
    return generator(input)


@wraps(generator)
def decorated(*args: Any, **kwargs: Any):
    return generator(*args, **kwargs)


class Callable_:  # noqa: N801 - the class of a callable
    async def __call__(self, input):
        async for event in generator(input):
            yield event

    async def method(self, input):
        async for event in generator(input):
            yield event

    @classmethod
    async def of_class(cls, input):
        async for event in generator(input):
            yield event


@pytest.mark.parametrize(
    "thing",
    [
        generator,
        bare,
        with_default,
        declared,
        declared_in_words,
        decorated,
        partial(two, more=StepStartedEvent(step_name="s")),
        partial(partial(bare)),
        Callable_(),
        Callable_().method,
        Callable_.of_class,
        DocsAgent(pause=0),
    ],
    ids=range(12),
)
async def test_what_is_an_agent_as_it_is(thing) -> None:
    assert adapt(thing) is thing
    assert await play(adapt(thing), asking(""))


async def test_a_pydantic_ai_agent_is_wrapped() -> None:
    from pydantic_ai import Agent as PydanticAgent
    from pydantic_ai.models.test import TestModel

    from netra_backend.agents.adapters.pydantic_ai import PydanticAIAgent

    agent = adapt(PydanticAgent(TestModel(custom_output_text="hello")))

    assert isinstance(agent, PydanticAIAgent)
    assert any(event.type == "TEXT_MESSAGE_CONTENT" for event in await play(agent, asking("hi")))


def synchronous(input):
    return None


def generating(input):
    yield None


async def returning(input) -> AsyncIterator[BaseEvent]:
    return generator(input)


def declared_otherwise(input) -> Iterator[BaseEvent]:
    return iter(())


async def none():
    yield None


async def keyword(*, input):
    yield input


def factory():
    return generator


@pytest.mark.parametrize(
    ("thing", "found", "advice"),
    [
        (5, "an object of builtins.int", "it cannot be called"),
        (None, "an object of builtins.NoneType", "it cannot be called"),
        (sys, "the module sys", "it cannot be called"),
        (Callable_, "the class Callable_", "pass an instance of the class or a function"),
        (synchronous, "the function synchronous", "it is not asynchronous: write `async def` and"),
        (declared_otherwise, "the function declared_otherwise", "it is not asynchronous: write"),
        (lambda input: generator(input=input), "the function ", "it is not asynchronous: write"),
        (generating, "the generator function generating", "it is not asynchronous: write `async"),
        (returning, "the async function returning (", "), which does not yield; it returns one"),
        (none, "the function none", "it is called with no argument, and an agent is called with"),
        (factory, "the function factory", "(a function that makes an agent has to be called in"),
        (two, "the function two", "it is called with (input, more), and an agent is called with"),
        (keyword, "the function keyword", "it is called with (*, input), and an agent is call"),
        (partial(two), "an object of functools.partial", "it is called with (input, more)"),
        (
            generator(asking("")),
            "an object of builtins.async_gen",
            "generator has returned it: name",
        ),
        (generating(None), "an object of builtins.generator", "generating has returned it: name"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_agent(thing: object, found: str, advice: str) -> None:
    with pytest.raises(ConfigError) as caught:
        adapt(thing)
    text = str(caught.value)

    assert text.startswith(f"found {found}")
    assert advice in text
    assert text.endswith(ACCEPTED)
