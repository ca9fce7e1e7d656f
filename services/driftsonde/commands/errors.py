"""What a command ends with when it can't do what it was asked for."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import click
from confluent_kafka import KafkaException

from driftsonde.adapters.avro import RegistryUnavailable
from driftsonde.adapters.clickhouse import StoreRejected, StoreUnavailable
from driftsonde.adapters.clickhouse_migrations import MigrationError
from driftsonde.adapters.kafka import MissingTopic
from driftsonde.adapters.settings import InvalidSetting, Settings, read_settings
from driftsonde.adapters.specs import InvalidSpec

_T = TypeVar("_T")
_ASK_DOCTOR = "`driftsonde doctor` says what is wrong and how to mend it"


class BadInput(click.ClickException):
    """Wrong use, or a file that can't be used."""

    exit_code = 2


class Failed(click.ClickException):
    """The world didn't play along."""

    exit_code = 1


@contextmanager
def world_failures() -> Iterator[None]:
    """Turn what the outside systems raise into `Failed`."""
    try:
        yield
    except KafkaException as error:
        raise Failed(f"Kafka: {error.args[0]}; {_ASK_DOCTOR}") from error
    except (StoreUnavailable, StoreRejected) as error:
        raise Failed(f"ClickHouse: {_one_line(error)}; {_ASK_DOCTOR}") from error
    except RegistryUnavailable as error:
        raise Failed(f"Schema Registry: {_one_line(error)}") from error
    except (MissingTopic, MigrationError, TimeoutError) as error:
        raise Failed(_one_line(error.args[0] if isinstance(error, LookupError) else error)) from error


def settings_of_environment() -> Settings:
    try:
        return read_settings(os.environ)
    except InvalidSetting as error:
        raise BadInput("; ".join(str(error).splitlines())) from error


def read_document(path: Path, parse: Callable[[str], _T]) -> _T:
    """Raises `BadInput` with the file's name and every problem, in one line."""
    try:
        return parse(path.read_text(encoding="utf-8"))
    except InvalidSpec as error:
        raise BadInput(f"{path}: {'; '.join(error.problems)}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: {error}") from error


def end_on_sigterm() -> None:
    """Let SIGTERM end the command as an exception does, so that it stops the processes that it has started."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def _one_line(error: object) -> str:
    return " ".join(str(error).split())
