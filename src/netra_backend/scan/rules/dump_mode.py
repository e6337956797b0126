"""JS017: ``model_dump()`` keeps dates, UUIDs and enums as they are, unless in JSON mode."""

from netra_backend.scan.rule import Rule

RULE = Rule(
    code="JS017",
    name="dump-without-json-mode",
    summary="model_dump() without JSON mode, of a model with a field that JSON refuses",
    noun="{kind} from model_dump()",
)
