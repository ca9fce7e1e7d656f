"""What a test needs of the machine: without it the test is skipped and says why, but fails on a CI machine."""

import os
import shutil

import pytest


def need(missing: str | None) -> None:
    """End the test if something is missing."""
    if missing is None:
        return
    if os.environ.get("CI"):
        pytest.fail(f"needed where CI is set: {missing}", pytrace=False)
    pytest.skip(missing)


def need_program(name: str, package: str) -> str:
    """The path of a program; ends the test if Debian's package that has it is not installed."""
    path = shutil.which(name)
    need(None if path else f"{name} is missing: Debian's package {package} has it")
    assert path
    return path
