"""OpenAI: a model behind the chat completions API of OpenAI or of a compatible server.

Extra ``openai``. The library reads ``OPENAI_API_KEY`` and ``OPENAI_BASE_URL``. One run is one
completion: the tools of the run's input are offered as functions, and calls of them are left to
the client, which sends their results with its next run. Source: the API reference of chat
completions; ``reasoning_content`` and ``reasoning`` are what compatible servers add to a delta.
"""

import json
from collections.abc import AsyncIterator, Iterator, Sequence

from ag_ui.core import (
    AssistantMessage,
    BaseEvent,
    ContentPart,
    DataSource,
    DeveloperMessage,
    ImagePart,
    RunAgentInput,
    RunFinishedEvent,
    SystemMessage,
    TextPart,
    TokenUsage,
    Tool,
    UrlSource,
    UserMessage,
)
from openai import AsyncOpenAI, OpenAIError, omit
from openai.types import CompletionUsage
from openai.types.chat import (
    ChatCompletionAssistantMessageParam,
    ChatCompletionChunk,
    ChatCompletionContentPartParam,
    ChatCompletionFunctionToolParam,
    ChatCompletionMessageFunctionToolCallParam,
    ChatCompletionMessageParam,
    ChatCompletionSystemMessageParam,
    ChatCompletionToolMessageParam,
    ChatCompletionUserMessageParam,
)
from openai.types.chat.chat_completion_chunk import ChoiceDelta, ChoiceDeltaToolCall

from netra_backend.agents.base import (
    Reasoning,
    Text,
    ToolCall,
    address_of,
    arguments_of,
    call_ids,
    results_of,
)
from netra_backend.errors import AgentError, ConfigError

_MAX_COUNT = 2**53 - 1


class OpenAIAgent:
    """An agent that lets `model` answer the conversation.

    `client` is made from the environment unless it is given; then its owner closes it. Raises
    ConfigError if the environment has no key.
    """

    def __init__(self, model: str, client: AsyncOpenAI | None = None) -> None:
        self._model = model
        try:
            self._client = client if client is not None else AsyncOpenAI()
        except OpenAIError as error:
            raise ConfigError(
                f"openai:{model}: set OPENAI_API_KEY (any text, for a server that asks for no "
                f"key) and, for a server other than OpenAI's, OPENAI_BASE_URL. {error}"
            ) from error

    async def __call__(self, input: RunAgentInput) -> AsyncIterator[BaseEvent]:
        """Stream one completion; closing the iterator closes the HTTP response.

        Raises AgentError if the API refuses, breaks off, or sends what it should not.
        """
        answer = _Answer(input)
        try:
            stream = await self._client.chat.completions.create(
                model=self._model,
                messages=list(_conversation(input)),
                tools=[_function(tool) for tool in input.tools] if input.tools else omit,
                stream=True,
                stream_options={"include_usage": True},
            )
            async with stream:
                async for chunk in stream:
                    for event in answer.take(chunk):
                        yield event
        except (OpenAIError, json.JSONDecodeError) as error:
            raise AgentError(f"openai:{self._model}: {error}") from error
        for event in answer.end():
            yield event


class _Answer:
    """One completion on its way from chunks to events."""

    def __init__(self, input: RunAgentInput) -> None:
        self._input = input
        self._open: Text | Reasoning | None = None
        self._parent: str | None = None
        self._calls: dict[int, ToolCall] = {}
        self._own_ids: dict[int, str] = {}
        self._started: list[ToolCall] = []
        self._used = call_ids(input)
        self._finish: str | None = None
        self._usage: TokenUsage | None = None

    def take(self, chunk: ChatCompletionChunk) -> Iterator[BaseEvent]:
        """Yield the events that `chunk` adds. Only the first choice is asked for and read.

        Some servers send null for a delta or for the choices; the library lets it through.
        """
        if chunk.usage is not None:
            self._usage = _usage(chunk.model, chunk.usage)
        for choice in (chunk.choices or [])[:1]:
            self._finish = choice.finish_reason or self._finish
            if choice.delta is None:
                continue
            yield from self._said(Reasoning, _reasoning_of(choice.delta))
            yield from self._said(Text, choice.delta.content or choice.delta.refusal or "")
            for part in choice.delta.tool_calls or ():
                yield from self._called(part)

    def end(self) -> Iterator[BaseEvent]:
        """Yield what closes the answer and the run. Raises AgentError if it is not whole."""
        if self._finish is None:
            raise AgentError("the model's answer broke off: it came without a finish reason")
        if self._finish == "content_filter":
            raise AgentError("the content filter of the model's API stopped the answer")
        yield from self._close()
        for call in self._started:
            yield from call.end()
        yield RunFinishedEvent(
            thread_id=self._input.thread_id,
            run_id=self._input.run_id,
            result={"finishReason": self._finish},
            usage=[self._usage] if self._usage else None,
        )

    def _said(self, kind: type[Text] | type[Reasoning], words: str) -> Iterator[BaseEvent]:
        if not words:
            return
        construct = self._open
        if not isinstance(construct, kind):
            yield from self._close()
            construct = self._open = kind()
            yield from construct.start()
        if isinstance(construct, Text):
            self._parent = construct.id
        yield from construct.add(words)

    def _called(self, part: ChoiceDeltaToolCall) -> Iterator[BaseEvent]:
        """Add to a call; one with another id begins, for some servers give all the index 0."""
        call = self._calls.get(part.index)
        if call is None or (part.id and part.id != self._own_ids[part.index]):
            yield from self._close()
            call = self._begun(part)
            yield from call.start()
        if part.function is not None:
            yield from call.add(part.function.arguments or "")

    def _begun(self, part: ChoiceDeltaToolCall) -> ToolCall:
        name = part.function.name if part.function is not None else None
        if not name:
            raise AgentError("the model called a tool without saying which")
        own_id = part.id or ""
        new = own_id not in self._used
        call = ToolCall(name, id=own_id if new else None, parent=self._parent)
        self._parent = self._parent or call.id  # all calls of an answer are in one message
        self._used.add(call.id)
        self._calls[part.index] = call
        self._own_ids[part.index] = own_id
        self._started.append(call)
        return call

    def _close(self) -> Iterator[BaseEvent]:
        if self._open is not None:
            yield from self._open.end()
            self._open = None


def _reasoning_of(delta: ChoiceDelta) -> str:
    extra = delta.model_extra or {}
    words = extra.get("reasoning_content") or extra.get("reasoning")
    return words if isinstance(words, str) else ""


def _usage(model: str, usage: CompletionUsage) -> TokenUsage:
    given, made = _count(usage.prompt_tokens), _count(usage.completion_tokens)
    details, cached = usage.completion_tokens_details, usage.prompt_tokens_details
    return TokenUsage(
        model=model or None,
        input_tokens=given,
        output_tokens=made,
        total_tokens=None if given is None or made is None else _count(given + made),
        reasoning_tokens=_count(details.reasoning_tokens) if details else None,
        cached_input_tokens=_count(cached.cached_tokens) if cached else None,
    )


def _count(value: object) -> int | None:
    """Return `value` if it can be a count; the library does not check what a server sends."""
    return value if type(value) is int and 0 <= value <= _MAX_COUNT else None


def _conversation(input: RunAgentInput) -> Iterator[ChatCompletionMessageParam]:
    """Yield the conversation as the API wants it: each call directly before its result.

    A call without a result is left out, because the API refuses it: its run was cancelled or
    failed. Activities and earlier reasoning are no part of what a model is told.
    """
    if input.context:
        known = "\n".join(f"{item.description}: {item.value}" for item in input.context)
        yield ChatCompletionSystemMessageParam(role="system", content=known)
    results = results_of(input)
    for message in input.messages:
        match message:
            case SystemMessage() | DeveloperMessage():
                yield ChatCompletionSystemMessageParam(role="system", content=message.content)
            case UserMessage():
                yield ChatCompletionUserMessageParam(role="user", content=_content(message.content))
            case AssistantMessage():
                yield from _turn(message, results)


def _turn(
    message: AssistantMessage, results: dict[str, str]
) -> Iterator[ChatCompletionMessageParam]:
    calls = [call for call in message.tool_calls or () if call.id in results]
    if not message.content and not calls:
        return
    turn = ChatCompletionAssistantMessageParam(role="assistant", content=message.content)
    if calls:
        turn["tool_calls"] = [
            ChatCompletionMessageFunctionToolCallParam(
                id=call.id,
                type="function",
                function={"name": call.function.name, "arguments": arguments_of(call)},
            )
            for call in calls
        ]
    yield turn
    for call in calls:
        content = results[call.id]
        yield ChatCompletionToolMessageParam(role="tool", tool_call_id=call.id, content=content)


def _content(content: str | Sequence[ContentPart]) -> str | list[ChatCompletionContentPartParam]:
    return content if isinstance(content, str) else [_part(part) for part in content]


def _part(part: ContentPart) -> ChatCompletionContentPartParam:
    match part:
        case TextPart():
            return {"type": "text", "text": part.text}
        case ImagePart(source=UrlSource() | DataSource() as source):
            return {"type": "image_url", "image_url": {"url": address_of(source)}}
        case _:
            kind = f"{part.type} ({part.source.type})"
            raise AgentError(f"the model can be sent text and images, but not this {kind}")


def _function(tool: Tool) -> ChatCompletionFunctionToolParam:
    parameters = tool.parameters or {"type": "object", "properties": {}}
    return {
        "type": "function",
        "function": {
            "name": tool.name,
            "description": tool.description,
            "parameters": parameters,
        },
    }
