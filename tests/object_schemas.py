"""Kubernetes objects and patches against excerpts of the published schemas, each of which names its source."""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).with_suffix("")
_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
}


@cache
def schema(name: str) -> Mapping[str, Any]:
    content: Mapping[str, Any] = json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return dict(content["schema"])


def problems_of(schema: Mapping[str, Any], value: object, *, patch: bool = False) -> list[str]:
    """What an API server with strict field validation would refuse; a merge patch may be partial, and null deletes."""
    return list(_problems(schema, value, "", patch))


def _problems(schema: Mapping[str, Any], value: object, path: str, patch: bool) -> Iterator[str]:
    if value is None and patch:
        return
    expected = schema.get("type")
    wrong_type = expected is not None and not isinstance(value, _TYPES[expected])
    if wrong_type or (isinstance(value, bool) and expected in ("integer", "number")):
        yield f"{path}: expected {expected}"
        return
    if "minimum" in schema and isinstance(value, int | float) and value < schema["minimum"]:
        yield f"{path}: below {schema['minimum']}"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path}: expected one of {schema['enum']}"
    if isinstance(value, dict):
        yield from _object_problems(schema, value, path, patch)
    if isinstance(value, list):
        yield from _list_problems(schema, value, path)


def _object_problems(
    schema: Mapping[str, Any], value: Mapping[str, object], path: str, patch: bool
) -> Iterator[str]:
    prefix = f"{path}." if path else ""
    known, more = schema.get("properties"), schema.get("additionalProperties")
    for name, content in value.items():
        if known is not None and name in known:
            yield from _problems(known[name], content, prefix + name, patch)
        elif more is not None:
            yield from _problems(more, content, prefix + name, patch)
        elif known is not None and not schema.get("x-kubernetes-preserve-unknown-fields"):
            yield f"{prefix}{name}: unknown field"
    if not patch:
        yield from (f"{prefix}{name}: missing" for name in schema.get("required", ()) if name not in value)


def _list_problems(schema: Mapping[str, Any], value: Sequence[object], path: str) -> Iterator[str]:
    """The elements of a list are whole, even in a patch, because it replaces the list."""
    for number, element in enumerate(value):
        yield from _problems(schema.get("items", {}), element, f"{path}.{number}", patch=False)
