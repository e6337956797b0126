"""Which fields the instances of a class have that declares them."""

import sys

from netra_backend.jsonlog.guard import bases, class_attribute, own_attribute


def field_names(cls: type) -> list[str] | None:
    """Return the fields of a pydantic, attrs, dataclass or msgspec class; None for others.

    None of these libraries is imported: a class that is theirs brings its fields along.
    """
    for read in (_pydantic_fields, _attrs_fields, _dataclass_fields, _msgspec_fields):
        names = read(cls)
        if names is not None:
            return names
    return None


def _pydantic_fields(cls: type) -> list[str] | None:
    fields = class_attribute(cls, "__pydantic_fields__")
    if type(fields) is not dict:
        return None
    return [name for name, info in fields.items() if own_attribute(info, "exclude") is not True]


def _attrs_fields(cls: type) -> list[str] | None:
    fields = class_attribute(cls, "__attrs_attrs__")
    if tuple not in bases(type(fields)):
        return None
    return [own_attribute(field, "name") for field in tuple.__iter__(fields)]


def _dataclass_fields(cls: type) -> list[str] | None:
    fields = class_attribute(cls, "__dataclass_fields__")
    if type(fields) is not dict:
        return None
    kinds = {name: own_attribute(field, "_field_type") for name, field in fields.items()}
    return [name for name, kind in kinds.items() if own_attribute(kind, "name") == "_FIELD"]


def _msgspec_fields(cls: type) -> list[str] | None:
    struct = getattr(sys.modules.get("msgspec"), "Struct", None)
    if not any(base is struct for base in bases(cls)):
        return None
    names = own_attribute(cls, "__struct_fields__")
    return list(names) if type(names) is tuple else None
