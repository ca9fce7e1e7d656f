"""What the fault tests share: a cluster of Kafka and the results of an undisturbed run are dear."""

from collections.abc import Iterator

import pytest

from faults.load import Load
from faults.trials import Trials, trials
from kafka.jars import missing
from required import need


@pytest.fixture(scope="session")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trials]:
    """Trials on a single node; each leaves it serving."""
    need(missing())
    with trials(Load(windows=40, rows=1_500), tmp_path_factory.mktemp("trials")) as made:
        yield made
