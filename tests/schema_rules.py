"""Avro's rules of schema resolution (specification, "Schema Resolution"), told by the paths of the fields at fault.

For schemas without recursion and aliases, of which Driftsonde has none.
"""

from collections.abc import Iterator
from typing import Any

from driftsonde.adapters.avro import AvroSchema

_PROMOTIONS = {
    ("int", "long"),
    ("int", "float"),
    ("int", "double"),
    ("long", "float"),
    ("long", "double"),
    ("float", "double"),
    ("string", "bytes"),
    ("bytes", "string"),
}

_Names = dict[str, Any]


def unreadable(reader: AvroSchema, writer: AvroSchema) -> list[str]:
    """Why the reader's schema can't read all that the writer's may write; empty if it can."""
    reader_names, writer_names = _named(reader.parsed), _named(writer.parsed)
    return list(_problems(reader.parsed, writer.parsed, reader_names, writer_names, reader.full_name))


def incompatible(one: AvroSchema, other: AvroSchema) -> list[str]:
    """Why the two can't read each other: FULL compatibility, in the registry's words."""
    return [*unreadable(one, other), *unreadable(other, one)]


def _problems(reader: Any, writer: Any, r_names: _Names, w_names: _Names, path: str) -> Iterator[str]:
    reader, writer = r_names.get(_key(reader), reader), w_names.get(_key(writer), writer)
    if isinstance(writer, list):
        for branch in writer:
            yield from _problems(reader, branch, r_names, w_names, path)
        return
    if isinstance(reader, list):
        candidates = [branch for branch in reader if _same(r_names.get(_key(branch), branch), writer)]
        if not candidates:
            yield f"{path}: no branch reads {_name(writer)}"
        else:
            yield from _problems(candidates[0], writer, r_names, w_names, path)
        return
    if not _same(reader, writer):
        yield f"{path}: {_name(writer)} can't be read as {_name(reader)}"
        return
    match _kind(reader):
        case "array":
            yield from _problems(reader["items"], writer["items"], r_names, w_names, f"{path}[]")
        case "map":
            yield from _problems(reader["values"], writer["values"], r_names, w_names, f"{path}{{}}")
        case "enum":
            unknown = sorted(set(writer["symbols"]) - set(reader["symbols"]))
            if unknown and "default" not in reader:
                yield f"{path}: unknown symbols {', '.join(unknown)}, and no default"
        case "record":
            written = {field["name"]: field for field in writer["fields"]}
            for field in reader["fields"]:
                place = f"{path}.{field['name']}"
                if field["name"] in written:
                    yield from _problems(
                        field["type"], written[field["name"]]["type"], r_names, w_names, place
                    )
                elif "default" not in field:
                    yield f"{place}: not written, and no default"


def _same(reader: Any, writer: Any) -> bool:
    """Whether the types go together, as far as can be told without looking inside."""
    kinds = _kind(writer), _kind(reader)
    if kinds in _PROMOTIONS:
        return True
    if kinds[0] != kinds[1]:
        return False
    return kinds[0] not in ("record", "enum", "fixed") or _name(reader) == _name(writer)


def _kind(schema: Any) -> str:
    return str(schema if isinstance(schema, str) else schema["type"])


def _name(schema: Any) -> str:
    return str(schema.get("name", schema["type"]) if isinstance(schema, dict) else schema)


def _key(schema: Any) -> str:
    return schema if isinstance(schema, str) else ""


def _named(schema: Any) -> _Names:
    """Every named type by its full name, as fastavro has parsed them."""
    found: _Names = {}
    if isinstance(schema, list):
        for branch in schema:
            found |= _named(branch)
    elif isinstance(schema, dict):
        if schema["type"] in ("record", "enum", "fixed"):
            found[schema["name"]] = schema
        for inner in [field["type"] for field in schema.get("fields", [])]:
            found |= _named(inner)
        for name in ("items", "values", "type"):
            if isinstance(schema.get(name), dict | list):
                found |= _named(schema[name])
    return found
