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
from confluent_kafka.admin import AdminClient

from driftsonde.adapters.avro import RegistryUnavailable
from driftsonde.adapters.clickhouse import StoreRejected, StoreUnavailable
from driftsonde.adapters.clickhouse_migrations import MigrationError
from driftsonde.adapters.kafka import MissingTopic
from driftsonde.adapters.settings import InvalidSetting, KafkaSettings, Settings, read_settings
from driftsonde.adapters.specs import InvalidSpec

_T = TypeVar("_T")
_PATIENCE_S = 5.0
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
        said = error if error.code is not None else _root_of(error)
        raise Failed(f"ClickHouse: {_one_line(said)}; {_ASK_DOCTOR}") from error
    except RegistryUnavailable as error:
        raise Failed(f"Schema Registry: {_one_line(error)}") from error
    except (MissingTopic, MigrationError, TimeoutError) as error:
        raise Failed(_one_line(error.args[0] if isinstance(error, LookupError) else error)) from error


def settings_of_environment() -> Settings:
    try:
        return read_settings(os.environ)
    except InvalidSetting as error:
        raise BadInput("; ".join(str(error).splitlines())) from error


def reach(kafka: KafkaSettings) -> None:
    """Raises `Failed` within seconds where no broker answers. Clients that go on trying would each say so on standard error, again
    and again."""
    try:
        AdminClient(kafka.librdkafka() | {"log_level": 0}).list_topics(timeout=_PATIENCE_S)
    except KafkaException as error:
        raise Failed(f"Kafka: {kafka.bootstrap_servers}: {error.args[0].str()}; {_ASK_DOCTOR}") from error


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


def _root_of(error: BaseException) -> BaseException:
    """What it all began with: the layers of a client say no more than that, at length."""
    while (before := error.__cause__ or error.__context__) is not None:
        error = before
    return error


def _one_line(error: object) -> str:
    return " ".join(str(error).split())
