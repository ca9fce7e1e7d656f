"""The docs show every page of the console, on every screen."""

import re
from pathlib import Path

from screenshots import PAGES, SCREENS

DOCS = Path(__file__).parents[2] / "docs"


def test_docs_show_each_picture_and_no_other() -> None:
    expected = {
        f"console-{page}-{screen}.webp" for page in (*PAGES, "empty", "stopped", "away") for screen in SCREENS
    }
    shown = re.findall(
        r"\(images/(console-[a-z-]+\.webp)\)", (DOCS / "console.md").read_text(encoding="utf-8")
    )
    assert set(shown) == expected
    assert {file.name for file in (DOCS / "images").glob("console-*")} == expected
