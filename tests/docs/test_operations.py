"""docs/operations.md lists every setting, and every code of an end, as the code has it."""

import ast
import inspect
from pathlib import Path

from netra_backend import config
from netra_backend.config import Settings
from netra_backend.errors import RUN_ERRORS, RunError

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")


def meanings() -> dict[str, str]:
    """Return the docstring of each setting: the string that stands under it in the source."""
    tree = ast.parse(inspect.getsource(config))
    cls = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Settings")
    found: dict[str, str] = {}
    for before, after in zip(cls.body, cls.body[1:], strict=False):
        if isinstance(before, ast.AnnAssign) and isinstance(after, ast.Expr):
            assert isinstance(before.target, ast.Name)
            found[before.target.id] = " ".join(ast.literal_eval(after.value).split())
    return found


def shown(value: object) -> str:
    if value is None or value == ():
        return "none"
    if isinstance(value, config.AuthMode):
        return f"`{value.value}`"
    return f"{value:,}" if isinstance(value, int) else f"`{value}`"


def table() -> str:
    rows = ["| setting | variable | default | meaning |", "|---|---|---|---|"]
    told = meanings()
    for name, field in Settings.model_fields.items():
        default = shown(field.default)
        rows.append(f"| `{name}` | `NETRA_{name.upper()}` | {default} | {told[name]} |")
    return "\n".join(rows)


def test_every_setting_is_listed_as_it_is() -> None:
    assert table() in PAGE, f"expected in docs/operations.md:\n{table()}"


def test_every_code_of_an_end_is_explained() -> None:
    assert list(RUN_ERRORS) == list(RunError)
    rows = [f"| `{code.value}` | {meaning} |" for code, meaning in RUN_ERRORS.items()]
    assert "\n".join(rows) in PAGE
