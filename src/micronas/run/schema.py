"""What the published schema of a result says, held against data: each value of each field, the first wrong one named.

The part of JSON Schema that `result.schema.json` is written in, for no user needs a library for it.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, cast

from micronas.texts import shown

Schema = Mapping[str, Any]

_MOST = 1e100  # of any number: what is larger adds up to infinity


@cache
def of_results() -> Schema:
    """The schema of `result.json`."""
    return json.loads(files("micronas.run").joinpath("result.schema.json").read_text(encoding="utf-8"))


def check(data: object, schema: Schema) -> None:
    """Refuse data that is not as a schema says.

    Raises:
        KeyError: a key is missing.
        ValueError: a value is another, or a key is unknown; says where.
    """
    _check(data, schema, schema, "")


def _check(data: object, schema: Schema, root: Schema, where: str) -> None:
    if "$ref" in schema:
        name = str(schema["$ref"]).removeprefix("#/$defs/")
        return _check(data, root["$defs"][name], root, where)
    if "anyOf" in schema:
        return _check_any(data, schema["anyOf"], root, where)
    if why := _value_fault(data, schema):
        raise ValueError(f"{where or 'the whole'} is {shown(data)}, not {why}")
    if isinstance(data, dict):
        return _check_object(cast(dict[str, object], data), schema, root, where)
    if isinstance(data, list):
        begins = schema.get("prefixItems", ())
        for at, item in enumerate(cast(list[object], data)):
            its = begins[at] if at < len(begins) else schema.get("items")
            if its is not None:
                _check(item, its, root, f"{where}[{at}]")
    return None


def _check_any(data: object, choices: list[Schema], root: Schema, where: str) -> None:
    """The trouble told is that with the first choice, or the last for what is null."""
    for choice in choices:
        try:
            return _check(data, choice, root, where)
        except (KeyError, ValueError):
            continue
    return _check(data, choices[0], root, where)


def _check_object(data: Mapping[str, object], schema: Schema, root: Schema, where: str) -> None:
    if missing := [name for name in schema.get("required", ()) if name not in data]:
        raise KeyError(missing[0])
    known, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    for name, value in data.items():
        place = f"{where}.{name}" if where else name
        if name in known:
            _check(value, known[name], root, place)
        elif others is False:
            raise ValueError(f"unknown key {shown(place)}")
        elif others is not True:
            _check(value, others, root, place)


_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "null": (type(None),),
}


def _value_fault(data: object, schema: Schema) -> str:
    """What a value should be, "" if it is that."""
    said = schema.get("type", ())
    types: list[str] = [said] if isinstance(said, str) else list(said)
    if types and not any(_is(data, name) for name in types):
        return f"of type {' or '.join(types)}"
    if "const" in schema and not _same(data, schema["const"]):
        return shown(schema["const"])
    if "enum" in schema and not any(_same(data, one) for one in schema["enum"]):
        return f"one of {', '.join(map(str, schema['enum']))}"
    if isinstance(data, str) and "pattern" in schema and not re.search(schema["pattern"], data):
        return f"like {schema['pattern']}"
    count = len(cast(list[object], data)) if isinstance(data, list) else None
    if count is not None and not schema.get("minItems", 0) <= count <= schema.get("maxItems", sys.maxsize):
        return f"of {schema.get('minItems', 0)} items"
    if isinstance(data, (int, float)) and not isinstance(data, bool):
        return _number_fault(data, schema)
    return ""


def _number_fault(number: float, schema: Schema) -> str:
    if abs(number) > _MOST:
        return f"at most {_MOST:g}"
    if "minimum" in schema and number < schema["minimum"]:
        return f"at least {schema['minimum']}"
    if "exclusiveMinimum" in schema and number <= schema["exclusiveMinimum"]:
        return f"above {schema['exclusiveMinimum']}"
    return ""


def _is(data: object, name: str) -> bool:
    return isinstance(data, _TYPES[name]) and (name == "boolean" or not isinstance(data, bool))


def _same(data: object, other: object) -> bool:
    """As JSON has it: true is not 1."""
    return type(data) is type(other) and data == other
