"""Values as JSON, one text for each value: what is hashed, stored and shown is the same."""

import dataclasses
import json
import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from driftsonde.core.control.decisions import Detail


def to_plain(value: Any) -> Any:
    """Frozen values as JSON has them: objects, lists, texts, numbers; NaN and the infinities become null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_object(value)
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): to_plain(entry) for key, entry in value.items()}
    if isinstance(value, tuple | list):
        return [to_plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def to_object(value: Any) -> dict[str, Any]:
    """The JSON object of a frozen value."""
    return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}


def detail_to_json(detail: Detail) -> str:
    """What is not its default, as compact JSON with sorted keys: the same detail gives the same text."""
    plain = {
        field.name: to_plain(getattr(detail, field.name))
        for field in dataclasses.fields(detail)
        if getattr(detail, field.name) != field.default
    }
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
