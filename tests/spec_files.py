"""Specs as the TOML that people write."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from driftsonde.adapters.specs import spec_document
from driftsonde.core.spec import ModelSpec


def spec_to_toml(spec: ModelSpec) -> str:
    return "\n".join(_lines(spec_document(spec), ())) + "\n"


def _lines(document: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    for key, content in document.items():
        if not isinstance(content, Mapping):
            yield f"{key} = {json.dumps(content)}"  # JSON's texts, numbers, booleans and lists are TOML's
    for key, content in document.items():
        if isinstance(content, Mapping):
            yield from ("", f"[{'.'.join((*path, key))}]")
            yield from _lines(content, (*path, key))
