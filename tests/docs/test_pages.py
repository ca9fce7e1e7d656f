"""Every page of the documents works as it is written."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.pages import Reader, blocks_of
from driftsonde.adapters.settings import Settings, environment
from driftsonde.standalone.cluster import Cluster

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [DOCS / "tutorial.md", *sorted((DOCS / "how-to").glob("*.md"))]
ALL_PAGES = [*DOCS.rglob("*.md"), *ROOT.glob("*.md"), ROOT / "deploy" / "README.md"]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with Cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster.settings


@pytest.mark.io
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_works_as_written(
    page: Path, servers: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment(servers).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DRIFTSONDE_CLICKHOUSE_HOST", servers.clickhouse.host)
    monkeypatch.setenv("COLUMNS", "250")
    monkeypatch.chdir(tmp_path)
    assert Reader(page).follow() > 0


@pytest.mark.parametrize("page", ALL_PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_compiles_and_links_lead_somewhere(page: Path) -> None:
    for block in blocks_of(page):
        if block.language == "python":
            compile(block.text, str(page), "exec")
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), f"{page.name} leads to {target}, which is not there"
