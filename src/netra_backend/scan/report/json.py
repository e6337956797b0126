"""Findings as JSON: a list of objects with the fields of `Finding`; columns count from 1."""

from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from netra_backend.scan.finding import Edit, Finding


def write(findings: Iterable[Finding]) -> str:
    """Return the list, indented, without a line end."""
    shown = [_from_one(finding) for finding in findings]
    return msgspec.json.format(msgspec.json.encode(shown), indent=2).decode()


def _from_one(finding: Finding) -> Finding:
    fix = finding.fix
    if fix is not None:
        fix = replace(fix, edits=tuple(map(_edit_from_one, fix.edits)))
    return replace(finding, column=finding.column + 1, fix=fix)


def _edit_from_one(edit: Edit) -> Edit:
    return replace(edit, column=edit.column + 1, end_column=edit.end_column + 1)
