"""The guard of conftest.py, run on small tests of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).with_name("conftest.py")

SWALLOWED = """
import contextlib, socket, subprocess
import confluent_kafka
import pytest

def reach_out(how):
    with contextlib.suppress(Exception):
        how()

@pytest.mark.parametrize("how", [
    lambda: socket.create_connection(("127.0.0.1", 9), timeout=0.1),
    lambda: socket.socket().bind(("127.0.0.1", 0)),
    lambda: subprocess.run(["true"]),
    lambda: confluent_kafka.Producer({"bootstrap.servers": "127.0.0.1:9"}),
    lambda: confluent_kafka.Consumer({"group.id": "g"}),
])
def test_it(how):
    reach_out(how)

@pytest.fixture
def child():
    reach_out(lambda: subprocess.run(["true"]))

def test_its_fixture(child):
    pass
"""


def outcome(directory: Path, source: str) -> dict[str, int]:
    """How many tests of `source` passed and failed."""
    (directory / "conftest.py").write_text(CONFTEST.read_text(encoding="utf-8"), encoding="utf-8")
    (directory / "pytest.ini").write_text("[pytest]\nmarkers = io\n", encoding="utf-8")
    (directory / "test_it.py").write_text(source, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(directory)]
    run = subprocess.run(command, capture_output=True, text=True, cwd=directory, check=False)
    words = run.stdout.splitlines()[-1].replace(",", "").split()
    return {word: int(count) for count, word in zip(words[::2], words[1::2], strict=False) if count.isdigit()}


@pytest.mark.io
def test_reaching_out_fails_even_where_the_error_is_swallowed(tmp_path: Path) -> None:
    assert outcome(tmp_path, SWALLOWED) == {"failed": 5, "error": 1}


@pytest.mark.io
def test_the_marker_allows_it(tmp_path: Path) -> None:
    marked = SWALLOWED + "\npytestmark = pytest.mark.io\n"
    assert outcome(tmp_path, marked) == {"passed": 6}
