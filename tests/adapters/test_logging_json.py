import json
import logging
from collections.abc import Iterator
from io import StringIO

import pytest

from driftsonde.adapters.logging_json import configure_logging


@pytest.fixture
def stream() -> Iterator[StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = StringIO()
    configure_logging("judge", "INFO", stream)
    yield stream
    root.handlers[:], root.level = handlers, level


def test_a_record_is_one_json_object_a_line(stream: StringIO) -> None:
    logging.getLogger("x").info("read %d", 3, extra={"topic": "labels"})
    logging.getLogger("x").debug("not shown")
    (line,) = stream.getvalue().splitlines()
    entry = json.loads(line)
    assert entry.pop("time").endswith("+00:00")
    assert entry == {
        "level": "info",
        "service": "judge",
        "logger": "x",
        "message": "read 3",
        "topic": "labels",
    }


def test_an_exception_stays_on_its_line(stream: StringIO) -> None:
    try:
        raise KeyError("gone")
    except KeyError:
        logging.getLogger("x").exception("failed")
    (line,) = stream.getvalue().splitlines()
    assert "KeyError: 'gone'" in json.loads(line)["exception"]
