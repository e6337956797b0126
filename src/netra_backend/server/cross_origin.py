"""Cross-origin answers: which pages of other origins a browser lets read them (WHATWG Fetch, CORS).

It stands around all that answers over HTTP, so that a page reads errors as well: also those of our
own faults, and of a server that stops.
"""

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from netra_backend.errors import ErrorCode, Refused
from netra_backend.server.errors import error_response
from netra_backend.server.headers import CORRELATION


class CrossOrigin(CORSMiddleware):
    """Lets pages of the `allowed` origins read the answers of `app`."""

    def __init__(self, app: ASGIApp, allowed: tuple[str, ...]) -> None:
        super().__init__(
            app,
            allow_origins=allowed,
            allow_credentials=True,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["*"],
            expose_headers=[CORRELATION],
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        """Return the answer to a browser that asks whether it may ask; refused as all else is."""
        answered = super().preflight_response(request_headers)
        if answered.status_code < 400:
            return answered
        why = "requests of this origin or method, or into a private network, are not allowed"
        refused = error_response(Refused(ErrorCode.FORBIDDEN, why))
        refused.headers["Vary"] = answered.headers["Vary"]
        return refused


def across_origins(app: ASGIApp, allowed: tuple[str, ...]) -> ASGIApp:
    """Return `app` as pages of the allowed origins may read it; without any, as it is."""
    return CrossOrigin(app, allowed) if allowed else app
