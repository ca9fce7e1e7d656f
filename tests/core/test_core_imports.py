"""The core imports NumPy, SciPy, itself, and of the standard library only what computes."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import driftsonde.core

CORE = Path(driftsonde.core.__path__[0])
COMPUTES = {
    "bisect", "collections", "dataclasses", "datetime", "enum", "functools", "hashlib", "heapq", "itertools", "json", "math", "operator", "re",
    "types", "typing", "zlib",
}  # fmt: skip


def imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module or ""


@pytest.mark.parametrize("file", sorted(CORE.rglob("*.py")), ids=lambda file: str(file.relative_to(CORE)))
def test_a_core_module_imports_nothing_that_reaches_out(file: Path) -> None:
    for name in imported(file):
        root = name.partition(".")[0]
        assert name.startswith("driftsonde.core.") or root in COMPUTES | {"numpy", "scipy"}, name
        assert root not in sys.stdlib_module_names or root in COMPUTES
