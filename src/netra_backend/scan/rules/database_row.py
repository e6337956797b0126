"""JS014: a row of a database driver or of SQLAlchemy looks like a tuple or dict, and is neither."""

from netra_backend.scan.kinds import Kind
from netra_backend.scan.rule import Rule

RULE = Rule(
    code="JS014",
    name="database-row",
    summary="a database row reaches JSON",
    noun="database row",
    kinds=frozenset({Kind.ROW}),
)
