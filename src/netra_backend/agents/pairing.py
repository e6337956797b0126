"""Pairing: the conversation as libraries take it, with the result of each call behind it."""

from collections.abc import Set

from ag_ui.core import (
    Message,
    RunAgentInput,
    ToolMessage,
)

from netra_backend.agents.base import (
    arguments_of,
    call_ids,
    calls_of,
)

_UNANSWERED = "The call was interrupted before it had a result."


def answered(input: RunAgentInput) -> RunAgentInput:
    """Return the input with the results of each call directly behind it, and sound arguments.

    A call without one, whose run was cancelled or failed, gets one that says so: APIs of models
    refuse such a conversation, and some libraries would carry out the call once more. In a run that
    answers a question they stay where they are, for the question may be about such a call.
    """
    if input.resume:
        return input.model_copy(update={"messages": list(map(_sound, input.messages))})
    return input.model_copy(update={"messages": paired(input)})


def paired(input: RunAgentInput, waiting: Set[str] = frozenset()) -> list[Message]:
    """Return the messages as `answered` does; the calls that are `waiting` get no result."""
    calls = call_ids(input)
    results = {m.tool_call_id: m for m in input.messages if isinstance(m, ToolMessage)}
    messages: list[Message] = []
    for message in input.messages:
        if not isinstance(message, ToolMessage) or message.tool_call_id not in calls:
            messages.append(_sound(message))
        messages += [
            results.get(call.id) or _unanswered(call.id)
            for call in calls_of(message)
            if call.id in results or call.id not in waiting
        ]
    return messages


def _sound(message: Message) -> Message:
    """Return the message with arguments that each library can read."""
    calls = [
        call.model_copy(
            update={"function": call.function.model_copy(update={"arguments": arguments_of(call)})}
        )
        for call in calls_of(message)
    ]
    return message.model_copy(update={"tool_calls": calls}) if calls else message


def _unanswered(call: str) -> ToolMessage:
    """Return the same message in every run, for a library may know it from the one before."""
    return ToolMessage(id=f"{call}-unanswered", tool_call_id=call, content=_UNANSWERED)
