"""Compares what a server really sends with what its OpenAPI document promises."""

import re
from typing import Any

import httpx
from jsonschema import Draft202012Validator


class Contract:
    """The document, as a judge of answers: use `check` as a response hook of an HTTP client."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.seen: set[tuple[str, str, int]] = set()
        """The answers that were judged: method, path and status."""
        self._paths = {
            path: re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)) + r"\Z")
            for path in document["paths"]
        }

    async def check(self, answered: httpx.Response) -> None:
        """Fail unless status, media type and body of the answer are documented."""
        await answered.aread()
        method, target = answered.request.method, answered.request.url.path
        path = next((path for path, shape in self._paths.items() if shape.match(target)), None)
        assert path is not None, f"{target} is not documented"
        operation = self.document["paths"][path].get(method.lower())
        assert operation is not None, f"{method} {path} is not documented"
        documented = operation["responses"].get(str(answered.status_code))
        assert documented is not None, f"{method} {path} answered {answered.status_code}"
        self._check_body(f"{method} {path} {answered.status_code}", documented, answered)
        self.seen.add((method, path, answered.status_code))

    def _check_body(self, name: str, documented: dict[str, Any], answered: httpx.Response) -> None:
        content = documented.get("content")
        if content is None:
            assert answered.content == b"", f"{name} has a body"
            return
        media_type = answered.headers["content-type"].split(";")[0]
        assert media_type in content, f"{name} is {media_type}"
        body = answered.json() if media_type == "application/json" else answered.text
        schema = {**content[media_type]["schema"], "components": self.document["components"]}
        problems = list(Draft202012Validator(closed(schema)).iter_errors(body))
        assert not problems, f"{name}: {problems[0].message}"


def closed(schema: Any) -> Any:
    """Return the schema with every object closed: a field that is not documented is an error."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {name: closed(part) for name, part in schema.items()}
    if schema.get("type") == "object" and "properties" in schema:
        strict["additionalProperties"] = False
    return strict
