"""What the published schema of a result says, held against data; the first value that is another is named."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, cast

from jsonschema import Draft202012Validator, TypeChecker, validators

from micronas.texts import shown

_MOST = 1e100  # of any number: what is larger adds up to infinity


@cache
def of_results() -> Mapping[str, Any]:
    """The schema of `result.json`."""
    return json.loads(files("micronas.run").joinpath("result.schema.json").read_text(encoding="utf-8"))


def check(data: object, schema: Mapping[str, Any]) -> None:
    """Refuse data that is not as a schema says.

    Raises:
        KeyError: a key is missing.
        ValueError: a value is another, or a key is unknown; says where.
    """
    error: Any = next(_BOUNDED(schema).iter_errors(data), None)
    if error is None:
        return
    while error.context:  # of several choices the first is what was meant
        error = error.context[0]
    where = "".join(f"[{at}]" if isinstance(at, int) else f".{at}" for at in error.absolute_path).removeprefix(".")
    if error.validator == "required":
        raise KeyError(next(name for name in error.validator_value if name not in error.instance))
    if error.validator == "additionalProperties":
        unknown = next(name for name in error.instance if name not in error.schema.get("properties", {}))
        raise ValueError(f"unknown key {shown(f'{where}.{unknown}' if where else unknown)}")
    raise ValueError(f"{where or 'the whole'} is {shown(error.instance)}, not {_wanted(error)}")


def _wanted(error: Any) -> str:
    """What a value should be."""
    said = error.validator_value
    if error.validator == "type" and _is_number(error.instance) and "number" in said:
        return f"at most {_MOST:g}"
    say = _SAY.get(str(error.validator))
    return say(said) if say else f"as the schema says: {error.validator} {shown(said)}"


_SAY: Mapping[str, Callable[[Any], str]] = {
    "type": lambda said: f"of type {said if isinstance(said, str) else ' or '.join(said)}",
    "const": shown,
    "enum": lambda said: f"one of {', '.join(map(str, said))}",
    "pattern": lambda said: f"like {said}",
    "minItems": lambda said: f"of at least {said} items",
    "maxItems": lambda said: f"of at most {said} items",
    "minimum": lambda said: f"at least {said}",
    "exclusiveMinimum": lambda said: f"above {said}",
}


def _is_number(data: object) -> bool:
    return isinstance(data, (int, float)) and not isinstance(data, bool)


def _is_bounded(_: TypeChecker, data: object) -> bool:
    return _is_number(data) and abs(cast(float, data)) <= _MOST


def _is_whole(_: TypeChecker, data: object) -> bool:
    return type(data) is int and abs(data) <= _MOST


_BOUNDED: Any = cast(Any, validators).extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine_many({"number": _is_bounded, "integer": _is_whole}),
)
