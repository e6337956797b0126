"""LangGraph: any compiled graph, as it is (extra ``langgraph``).

AG-UI's own package for LangGraph translates. Each run works on a clone of it, without raw events.
The graph's checkpoints are kept under the thread's scope, so that threads of one name which belong
to two users stay two. A graph without a checkpointer gets one that lasts for the run: the
conversation comes from the log, but such a graph cannot go on after an interrupt.
"""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from ag_ui.core import BaseEvent, RunAgentInput
from ag_ui_langgraph import LangGraphAgent as Translator
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph.state import CompiledStateGraph

from netra_backend.agents.foreign import translated
from netra_backend.agents.run_context import scope_of
from netra_backend.errors import AgentError


class LangGraphAgent:
    """An agent that runs `graph`, a compiled one whose state has ``messages``.

    `config` is LangGraph's, for every run.
    """

    def __init__(
        self,
        graph: "CompiledStateGraph[Any, Any, Any, Any]",
        config: dict[str, Any] | None = None,
    ) -> None:
        self._graph = graph
        self._config = config

    async def __call__(self, input: RunAgentInput) -> AsyncIterator[BaseEvent]:
        """Run the graph on the conversation; closing the iterator stops it.

        Raises AgentError for whatever the graph raises, and if there is nothing to resume.
        """
        graph = self._graph
        if not graph.checkpointer:
            if input.resume:
                raise AgentError("the graph asked, but keeps no checkpoints: compile it with some")
            graph = graph.copy({"checkpointer": InMemorySaver()})
        translator = Translator(
            name="graph",
            graph=graph,
            config=self._config,
            emit_raw_events=False,
            emit_interrupt_outcome=True,
            enable_legacy_on_interrupt_event=False,
        )
        given = input.model_copy(update={"thread_id": scope_of(input)}, deep=True)
        async with aclosing(translator.clone().run(given)) as events:
            async for event in translated("the graph", input, events):
                yield event
