"""Every page of the documents works as it is written."""

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from docs.pages import Reader, blocks_of
from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.settings import environment
from driftsonde.adapters.training import TrainingOrder
from driftsonde.client import Monitor, Router
from driftsonde.standalone.cluster import Cluster
from fake_api import FakeApi
from mlflow_api import MlflowApi

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
# The tutorial first: it logs yesterday's hours, which are late once another page has logged the present one.
PAGES = [
    *(DOCS / "tutorial.md", ROOT / "README.md", ROOT / "deploy" / "README.md", DOCS / "deciding.md"),
    *sorted((DOCS / "how-to").glob("*.md")),
]
ALL_PAGES = [*DOCS.rglob("*.md"), *ROOT.glob("*.md"), ROOT / "deploy" / "README.md"]


VERBS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
ORDER = TrainingOrder("d", "m", "1", "i", "drift", ("amount",), "", "")
# Blocks that no page's reader runs: what is shown, and the programs of test_producers.py.
SHOWN = {"text", "java", "go"}
RUN = {"python", "toml", "console", "sql"}


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def registry() -> Iterator[str]:
    """What MLflow answers; tests/handled registers the versions of a real one with the same command."""
    server = FakeApi(MlflowApi([1_000, 2_000, 3_000]).answer)
    yield server.url
    server.close()


def write_logs(folder: Path) -> None:
    """What a reader of the pages brings along."""
    random, rows = np.random.default_rng(11), 6_000
    score = random.random(rows)
    log = pd.DataFrame(
        {
            "ts": pd.date_range("2026-01-01", periods=rows, freq="5min", tz="UTC"),
            "age": random.integers(18, 80, rows),
            "country": random.choice(["DE", "FR"], rows),
            "probability": score,
            "predicted": (score > 0.5).astype(int),
            "churned": (random.random(rows) < score).astype(int),
        }
    )
    log.to_csv(folder / "predictions.csv", index=False)
    names = {"ts": "timestamp", "probability": "score", "predicted": "prediction", "churned": "label"}
    log.rename(columns=names).to_parquet(folder / "training.parquet")


@pytest.mark.io
@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_a_page_works_as_written(
    page: Path, servers: Cluster, registry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = servers.settings
    variables = environment(settings) | {
        "DRIFTSONDE_CLICKHOUSE_HOST": settings.clickhouse.host,
        "CONTROLLER_URL": servers.controller_url,
        "MLFLOW_TRACKING_URI": registry,
        "COLUMNS": "250",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    write_logs(tmp_path)
    store = Store(settings.clickhouse)
    reader = Reader(page, store.query_rows, {"kafka:9092": settings.kafka.bootstrap_servers})
    try:
        assert reader.follow() > 0
    finally:
        store.close()
        for left in reader.names.values():  # a reader's process would end here
            if isinstance(left, Monitor | Router):
                left.close()


@pytest.mark.parametrize("page", ALL_PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_compiles_and_verbs_modules_and_links_lead_somewhere(page: Path) -> None:
    for block in blocks_of(page):
        if block.language == "python":
            compile(block.text, str(page), "exec")
        if block.language == "console":
            assert set(re.findall(r"^\$ make ([\w-]+)", block.text, re.MULTILINE)) <= VERBS
            for module in re.findall(r"^\$ python -m ([\w.]+)", block.text, re.MULTILINE):
                assert importlib.util.find_spec(module), module
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), f"{page.name} leads to {target}, which is not there"


def test_every_block_is_run_or_says_why_not() -> None:
    for page in ALL_PAGES:
        fences = re.findall(r"^```(\w*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert set(fences[::2]) <= SHOWN | RUN, page
        if page not in PAGES:  # `make` and the services: their names are looked up
            assert set(fences[::2]) <= {"console", "text"}, page


def test_the_flow_of_the_page_takes_what_it_is_told() -> None:
    (text,) = [block.text for block in blocks_of(DOCS / "how-to" / "retraining.md") if "@flow" in block.text]
    (flow,) = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    assert [argument.arg for argument in flow.args.args] == list(ORDER.parameters())
