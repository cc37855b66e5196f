"""Lets pydantic take a Result as it is, and write its record, so that a FastAPI route may return it.

The functions are called by pydantic alone, which is installed then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["dict_serializer", "schema_of"]


def schema_of(kind: type, to_json: Callable[[Any], object], *, is_list: bool = False) -> Any:
    """The core schema of a class whose objects are written as `to_json` makes them: `__get_pydantic_core_schema__`."""
    from pydantic_core import core_schema

    record = core_schema.dict_schema(core_schema.str_schema())
    written = core_schema.list_schema(record) if is_list else record
    return core_schema.is_instance_schema(
        kind, serialization=core_schema.plain_serializer_function_ser_schema(to_json, return_schema=written)
    )


def dict_serializer() -> Any:
    """What writes a mapping as a dict where pydantic knows no schema for it: `__pydantic_serializer__`."""
    from pydantic_core import SchemaSerializer, core_schema

    written = core_schema.plain_serializer_function_ser_schema(dict)
    return SchemaSerializer(core_schema.any_schema(serialization=written))
