"""Findings to test with."""

from netra_backend.scan.finding import Edit, Finding, Fix, Origin, Severity


def finding(
    line: int = 1,
    column: int = 0,
    *,
    path: str = "a.py",
    end_line: int | None = None,
    rule: str = "JS001",
    severity: Severity = Severity.ERROR,
    message: str = "plain enum State reaches json.dumps",
    value_path: str = "",
    origin: Origin | None = None,
    edits: tuple[Edit, ...] = (),
) -> Finding:
    """Return a finding, repaired by `edits` if there are any."""
    fix = Fix("Use .name", edits) if edits else None
    end = line if end_line is None else end_line
    return Finding(path, line, column, end, rule, severity, message, value_path, origin, fix)
