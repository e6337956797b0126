"""JS012: a pydantic model must be dumped, in JSON mode, before it is written."""

from netra_backend.scan.kinds import Kind
from netra_backend.scan.rule import Repair, Rule

RULE = Rule(
    code="JS012",
    name="model",
    summary="a pydantic model reaches JSON",
    noun="pydantic model",
    kinds=frozenset({Kind.MODEL, Kind.MODEL_1}),
    repairs=(
        Repair("Dump it in JSON mode", "", '.model_dump(mode="json")', frozenset({Kind.MODEL})),
    ),
)
