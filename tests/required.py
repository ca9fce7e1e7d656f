"""What a test needs of the machine: without it the test is skipped and says why, but fails on a CI machine."""

import os

import pytest


def need(missing: str | None) -> None:
    """End the test if something is missing."""
    if missing is None:
        return
    if os.environ.get("CI"):
        pytest.fail(f"needed where CI is set: {missing}", pytrace=False)
    pytest.skip(missing)
