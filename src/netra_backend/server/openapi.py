"""OpenAPI: the document of the HTTP API, from the table of its endpoints. Source: OpenAPI 3.1."""

from typing import Any

import msgspec
from msgspec import Struct

from netra_backend.errors import ERRORS, ErrorCode
from netra_backend.server.auth import COOKIE
from netra_backend.server.endpoints import Endpoint
from netra_backend.server.views import ErrorView


def openapi(endpoints: tuple[Endpoint, ...], version: str) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of `endpoints`."""
    types = [t for e in endpoints for t in (e.body, e.result) if isinstance(t, type)]
    template = "#/components/schemas/{name}"
    shapes = [t for t in types if issubclass(t, Struct)]
    _, components = msgspec.json.schema_components([*shapes, ErrorView], ref_template=template)
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Netra backend", "version": version},
        "servers": [{"url": "."}],  # wherever this document is, which may be below a path
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": _SECURITY},
        "security": [{name: []} for name in _SECURITY],
    }


_SECURITY = {
    "token": {"type": "http", "scheme": "bearer"},
    "development": {"type": "apiKey", "in": "cookie", "name": COOKIE},
}


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    names = [part[1:-1] for part in endpoint.path.split("/") if part.startswith("{")]
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in names
    ] + [
        {"name": name, "in": place, "description": text, "schema": {"type": "string"}}
        for place, described in (("query", endpoint.query), ("header", endpoint.header))
        for name, text in described.items()
    ]
    operation: dict[str, Any] = {
        "summary": endpoint.summary,
        "operationId": endpoint.call.__name__.strip("_"),
        "responses": _responses(endpoint),
    }
    if endpoint.open:
        operation["security"] = []
    if parameters:
        operation["parameters"] = parameters
    if endpoint.body is not None:
        content = {"application/json": {"schema": _schema(endpoint.body)}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _responses(endpoint: Endpoint) -> dict[str, Any]:
    success: dict[str, Any] = {"description": "Success"}
    if endpoint.result is not None:
        success["content"] = {endpoint.media_type: {"schema": _schema(endpoint.result)}}
    responses = {str(endpoint.status): success}
    responses |= {str(status): {"description": text} for status, text in endpoint.empty.items()}
    of_users = () if endpoint.open else (ErrorCode.UNAUTHENTICATED, ErrorCode.FORBIDDEN)
    for code in (*endpoint.errors, *of_users, ErrorCode.STORE_FAILED, ErrorCode.INTERNAL):
        row = ERRORS[code]
        known = responses.setdefault(str(row.status), {"description": ""})
        known["description"] = f"{known['description']} `{code.value}`: {row.meaning}".strip()
        known["content"] = {"application/json": {"schema": _schema(ErrorView)}}
    return responses


def _schema(shape: Any) -> dict[str, Any]:
    if isinstance(shape, dict):
        return shape
    return {"$ref": f"#/components/schemas/{shape.__name__}"}
