"""JS006: JSON is text; bytes must be decoded or written as base64, which only their owner knows."""

from netra_backend.scan.kinds import Kind
from netra_backend.scan.rule import Rule

RULE = Rule(
    code="JS006",
    name="binary",
    summary="bytes reach JSON",
    noun="{kind}",
    kinds=frozenset({Kind.BYTES, Kind.BUFFER}),
)
