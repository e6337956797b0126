"""Netra runs AI agents and delivers what they do, live and in order, to the right people.

``create_app(agents={...})`` returns the server as an ASGI application. The names here load when
they are first used, so that importing the package costs little.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from netra_backend.config import Settings, load_settings
    from netra_backend.errors import ConfigError, NetraError
    from netra_backend.server.app import create_app
    from netra_backend.server.user import User

    __version__: str

__all__ = ["ConfigError", "NetraError", "Settings", "User", "create_app", "load_settings"]

_HOMES = {
    "ConfigError": "netra_backend.errors",
    "NetraError": "netra_backend.errors",
    "Settings": "netra_backend.config",
    "User": "netra_backend.server.user",
    "create_app": "netra_backend.server.app",
    "load_settings": "netra_backend.config",
}


def __getattr__(name: str) -> Any:
    """Return a public name from the module where it lives (PEP 562), or the version."""
    if name == "__version__":
        return import_module("importlib.metadata").version("netra-backend")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
