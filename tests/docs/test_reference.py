"""The reference is what the code says."""

import importlib.util
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


def _pages() -> dict[str, str]:
    spec = importlib.util.spec_from_file_location("reference", DOCS / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    pages: dict[str, str] = module.pages()
    return pages


PAGES = _pages()


@pytest.mark.parametrize("name", PAGES)
def test_every_page_is_current(name: str) -> None:
    written = (DOCS / "reference" / name).read_text(encoding="utf-8")
    assert written == PAGES[name], "out of date: run `make docs`"


def test_every_command_table_and_topic_is_there() -> None:
    assert "## driftsonde topics create\n" in PAGES["cli.md"]
    assert "## metrics_as_judged\n" in PAGES["tables.md"]
    assert "Columns as in `metrics`." in PAGES["tables.md"]
    assert "| `traffic` |" in PAGES["topics.md"]
    assert "| `POST /v1/decisions/{decision_id}/approve` |" in PAGES["api.md"]
