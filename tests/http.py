"""HTTP for tests: clients of a live server, and reading server-sent events as bytes say them."""

import json
from collections.abc import AsyncIterator, Iterable
from typing import Any, NamedTuple

import httpx

from tests.client import BOUND


class SseEvent(NamedTuple):
    """One server-sent event: its ``id:`` and its ``data:`` as JSON."""

    id: str
    chunk: dict[str, Any]


def http(url: str, token: str | None, **options: Any) -> httpx.AsyncClient:
    """Return a client that sends the token, if there is one, with every request."""
    headers = {
        **({"Authorization": f"Bearer {token}"} if token else {}),
        **options.pop("headers", {}),
    }
    # No TLS here: reading the system's certificates would cost more than most tests do. Nor any of
    # what the environment says of proxies: the server is on this machine.
    return httpx.AsyncClient(
        base_url=url,
        headers=headers,
        timeout=BOUND,
        verify=False,  # noqa: S501
        trust_env=False,
        **options,
    )


def sse_events(text: str) -> list[SseEvent]:
    """Return the events of a whole stream; comments are left out."""
    return [event for block in text.split("\n\n") if (event := _event(block.splitlines()))]


def sse_chunks(text: str) -> list[dict[str, Any]]:
    """Return what the events of a stream say, those without an id too."""
    lines = text.split("\n")
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]


async def sse_stream(answer: httpx.Response) -> AsyncIterator[SseEvent]:
    """Yield the events of a stream as they come."""
    lines: list[str] = []
    async for line in answer.aiter_lines():
        if line:
            lines.append(line)
            continue
        event = _event(lines)
        lines = []
        if event is not None:
            yield event


def _event(lines: Iterable[str]) -> SseEvent | None:
    fields: dict[str, str] = {}
    for line in lines:
        if line.startswith(":"):
            continue
        name, separator, value = line.partition(": ")
        assert separator, f"no field: {line!r}"
        assert name in ("id", "data"), f"an unknown field: {line!r}"
        assert name not in fields, f"{name} came twice in one event"
        fields[name] = value
    return SseEvent(fields["id"], json.loads(fields["data"])) if fields else None
