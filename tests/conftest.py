"""Input and output are opt-in: a test without the marker `io` that opens a connection or starts a process fails, even
where the error that it meets is swallowed."""

import sys
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import confluent_kafka
import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

# How long an example takes depends on what else the machine does; whole tests have a timeout.
settings.register_profile("driftsonde", deadline=None)
settings.load_profile("driftsonde")

# Python's audit events of whatever reaches out of the process.
_EVENTS = frozenset(
    (
        "socket.bind",
        "socket.connect",
        "socket.getaddrinfo",
        "socket.sendmsg",
        "socket.sendto",
        "subprocess.Popen",
        "os.exec",
        "os.fork",
        "os.forkpty",
        "os.posix_spawn",
        "os.spawn",
        "os.system",
        "confluent_kafka.client",
    )
)


class ForbiddenIo(RuntimeError):
    """A test without the marker `io` reached out."""


@dataclass(slots=True)
class _Guard:
    active: bool = False
    seen: list[str] = field(default_factory=list)

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.active and event in _EVENTS:
            self.seen.append(f"{event}{arguments!r:.200}")
            raise ForbiddenIo(f"{event} in a test without the marker `io`")


_guard = _Guard()
# A hook stays for the life of the process; the guard says when it matters.
sys.addaudithook(_guard.audit)


class _Producer(confluent_kafka.Producer):
    """librdkafka opens its sockets unseen by Python, so its clients tell."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        sys.audit("confluent_kafka.client", "Producer")
        super().__init__(*arguments, **options)


class _Consumer(confluent_kafka.Consumer):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        sys.audit("confluent_kafka.client", "Consumer")
        super().__init__(*arguments, **options)


# Before any module of the project has imported them.
confluent_kafka.Producer = _Producer  # type: ignore[misc]
confluent_kafka.Consumer = _Consumer  # type: ignore[misc]


# Files that share servers, which take long to start: a fixture of the session is one of a process.
_TOGETHER = {
    "tests/integration/": "integration",
    "tests/faults/test_kills.py": "trials",
    "tests/faults/test_faults_store.py": "trials",
    "tests/faults/test_faults_producer.py": "producers",
    "tests/faults/test_faults_pressure.py": "pressure",
    "tests/faults/": "steady world",
}


def _scope(nodeid: str) -> str:
    """Tests of one scope run in one process, in their order."""
    file = nodeid.partition("::")[0]
    return next((scope for path, scope in _TOGETHER.items() if file.startswith(path)), file)


class _Scopes(LoadScopeScheduling):  # type: ignore[misc]
    """xdist's own groups (3.8) come to nothing with pytest 9.2."""

    def _split_scope(self, nodeid: str) -> str:
        return _scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    """For `pytest -n 2`."""
    return _Scopes(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first."""
    items.sort(key=lambda item: _scope(item.nodeid) != "trials")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """From the set-up of a test to the end of its tear-down."""
    _guard.active = item.get_closest_marker("io") is None
    _guard.seen.clear()
    try:
        return (yield)
    finally:
        _guard.active = False


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: "pytest.CallInfo[None]"
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if _guard.seen and report.outcome == "passed":
        report.outcome = "failed"
        report.longrepr = f"without the marker `io`: {'; '.join(_guard.seen)}"
        _guard.seen.clear()
    return report
