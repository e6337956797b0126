"""Imports as names: what each stands for by its dotted name."""

import ast

from netra_backend.scan.frame import Frame
from netra_backend.scan.values import Global


def bind_imports(frame: Frame, node: ast.Import | ast.ImportFrom) -> bool:
    """Bind what the import binds."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            name = alias.name if alias.asname else alias.name.partition(".")[0]
            frame.file.imported.append(alias.name)
            frame.names[alias.asname or name] = Global(name, node.lineno)
        return True
    module = absolute(frame.file.package, node.module or "", node.level)
    frame.file.imported.append(module)
    for alias in node.names:
        if alias.name == "*":
            frame.file.stars.append(module)
            continue
        frame.names[alias.asname or alias.name] = Global(f"{module}.{alias.name}", node.lineno)
    return True


def absolute(package: str, module: str, level: int) -> str:
    """Return the absolute name of an imported module, as importlib does."""
    if level == 0:
        return module
    parts = package.split(".")
    parts = parts[: len(parts) - level + 1] if level > 1 else parts
    base = ".".join(parts)
    return f"{base}.{module}".strip(".") if module else base
