"""The stubs say nothing that the libraries do not have."""

import ast
import enum
import importlib

import pytest

from netra_backend.scan.engine import summarise
from netra_backend.scan.stubs import STUBS


@pytest.mark.parametrize("module", STUBS)
def test_a_stub_can_be_read(module: str) -> None:
    assert summarise(f"<{module}>", module, STUBS[module]).skipped is None


@pytest.mark.parametrize("module", STUBS)
def test_a_stub_names_what_the_library_has(module: str) -> None:
    library = pytest.importorskip(module, reason=f"{module} is not installed")
    for node in ast.parse(STUBS[module]).body:
        if getattr(node, "name", "").startswith("_"):
            continue  # the stub's own name of something that has none
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            assert hasattr(library, node.name), node.name
        if isinstance(node, ast.ClassDef):
            cls = getattr(library, node.name)
            for item in node.body:
                if isinstance(item, ast.FunctionDef):
                    assert callable(getattr(cls, item.name)), f"{node.name}.{item.name}"
                if isinstance(item, ast.Assign) and issubclass(cls, enum.Enum):
                    (target,) = item.targets
                    assert isinstance(target, ast.Name)
                    assert target.id in cls.__members__


def test_the_state_of_a_websocket_is_a_plain_enum() -> None:
    websockets = importlib.import_module("starlette.websockets")
    socket = websockets.WebSocket({"type": "websocket"}, None, None)  # type: ignore[arg-type]
    for name in ("client_state", "application_state"):
        state = getattr(socket, name)
        assert isinstance(state, enum.Enum)
        assert not isinstance(state, (str, int))
