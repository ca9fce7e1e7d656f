import platform
import subprocess
import sys

import pytest

# In a process of their own: what they set stays.
_FAULTS = """
import resource, sys
import numpy as np
from driftsonde.adapters.tuning import keep_freed_memory

if sys.argv[1] == "kept":
    keep_freed_memory()

def pages() -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        np.ones(1_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

pages()
print(pages())
"""
_COLLECTIONS = """
import gc
from driftsonde.adapters.tuning import collect_seldom

collect_seldom()
frozen = gc.get_freeze_count()
before = sum(generation["collections"] for generation in gc.get_stats())
kept = [[] for _ in range(40_000)]
print(frozen > 1_000, sum(generation["collections"] for generation in gc.get_stats()) - before)
"""


def _printed(program: str, *arguments: str) -> str:
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.io
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="what is kept is kept by glibc")
def test_freed_memory_is_used_again_without_new_pages() -> None:
    assert int(_printed(_FAULTS, "kept")) < 100


@pytest.mark.io
def test_cycles_are_searched_for_seldom_and_not_among_what_was_set_up() -> None:
    assert _printed(_COLLECTIONS) == "True 0\n"
