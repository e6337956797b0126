"""The rules, one file each; they do not know each other."""

from collections.abc import Mapping

from netra_backend.scan.rule import Rule
from netra_backend.scan.rules import (
    array_data,
    binary,
    collection,
    database_row,
    date_and_time,
    dump_mode,
    enum_as_text,
    enum_in_text,
    exception,
    live_resource,
    log_extra,
    lossy_field,
    missing_await,
    model,
    number,
    path,
    plain_enum,
    plain_object,
    record,
    unusable_key,
    uuid,
)

RULES: Mapping[str, Rule] = {
    module.RULE.code: module.RULE
    for module in (
        plain_enum,
        unusable_key,
        date_and_time,
        uuid,
        number,
        binary,
        path,
        collection,
        missing_await,
        exception,
        record,
        model,
        live_resource,
        database_row,
        array_data,
        plain_object,
        dump_mode,
        log_extra,
        enum_in_text,
        enum_as_text,
        lossy_field,
    )
}
"""By their codes, in the order of the codes."""
