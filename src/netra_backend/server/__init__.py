"""The server: one ASGI application, its sockets and HTTP API, and uvicorn's protocols for it."""
