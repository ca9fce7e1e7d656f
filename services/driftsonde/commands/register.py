"""`driftsonde register`"""

import tempfile
from dataclasses import replace
from pathlib import Path

import click
from confluent_kafka import Producer

from driftsonde.adapters.avro import Codec
from driftsonde.adapters.kafka import CompactedReader, producer_config
from driftsonde.adapters.schema_registry import ConfluentRegistry
from driftsonde.adapters.settings import Settings
from driftsonde.adapters.specs import baseline_from_json, spec_from_toml
from driftsonde.adapters.topics import MODELS
from driftsonde.adapters.wire_models import (
    MODEL_RECORD,
    AlreadyRegistered,
    ModelRecord,
    spec_record,
    version_record,
)
from driftsonde.adapters.wire_models import (
    register as publish,
)
from driftsonde.commands.errors import BadInput, read_document, settings_of_environment, world_failures
from driftsonde.core.baseline import Baseline
from driftsonde.core.events import InvalidEvent
from driftsonde.core.spec import ModelSpec, Task
from driftsonde.replay.files import UnreadableFile
from driftsonde.replay.mapping import Choices, WrongChoice
from driftsonde.replay.run import MOST_BASELINE_ROWS, Log, Order, read_log, take_baseline

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("spec_file", metavar="SPEC.toml", type=_FILE)
@click.option(
    "--version", help="Register this version, too; its first rows served become its baseline unless …"
)
@click.option("--baseline", "baseline_file", type=_FILE, help="… this is it: JSON, as a replay writes it …")
@click.option(
    "--data", "data_file", type=_FILE, help="… or it is taken from these rows: CSV (also .gz) or Parquet."
)
@click.option(
    "--replace", "replace_known", is_flag=True, help="Also if the name is taken, by another content."
)
def register(
    spec_file: Path,
    version: str | None,
    baseline_file: Path | None,
    data_file: Path | None,
    replace_known: bool,
) -> None:
    """Register a model, and with --version one of its versions and its baseline.

    --data has one prediction a row, with the columns timestamp, prediction, and where there are any score and label;
    the others are the features and segments, named as they will be logged. Reads DRIFTSONDE_KAFKA_*. Registering the
    same again changes nothing.
    """
    if baseline_file and data_file:
        raise BadInput("--baseline and --data exclude each other")
    if (baseline_file or data_file) and not version:
        raise BadInput("--version is needed: a baseline belongs to a version of the model")
    spec = read_document(spec_file, spec_from_toml)
    baseline = read_document(baseline_file, baseline_from_json) if baseline_file else None
    if data_file and version:
        baseline = baseline_of(spec, version, data_file)
    records = [spec_record(spec)]
    if version:
        own = replace(baseline, model=spec.name, version=version) if baseline else None
        records.append(version_record(spec.name, version, own))
    written = _publish(settings_of_environment(), records, replace_known)
    for record in records:
        click.echo(f"{record.key}: {'registered' if record.key in written else 'nothing new'}")


def baseline_of(spec: ModelSpec, version: str, file: Path) -> Baseline:
    """The baseline of a file's rows, at most `MOST_BASELINE_ROWS`. Raises `BadInput`."""
    order = Order(
        file=file,
        out=Path(),
        model=spec.name,
        choices=Choices(task=spec.task, version_name=version, segments=spec.segments),
        window_ms=spec.window_ms,
        label_wait_ms=spec.label_wait_ms,
        baseline_rows=MOST_BASELINE_ROWS,
    )
    with tempfile.TemporaryDirectory(prefix="driftsonde-") as directory:
        try:
            log = read_log(order, Path(directory), lambda *_: None)
            _check_classes(spec, log)
            baseline = take_baseline(order, spec, log)
        except (UnreadableFile, WrongChoice, InvalidEvent, OSError) as error:
            raise BadInput(str(error)) from error
    click.echo(f"baseline: {baseline.rows} rows of {file.name}, {log.rows_rejected} could not be read")
    for entry in log.rejected:
        click.echo(f"  line {entry.line}: {entry.reason}")
    return baseline


def _check_classes(spec: ModelSpec, log: Log) -> None:
    unknown = sorted(set(log.classes) - set(spec.classes))
    if spec.task is not Task.REGRESSION and unknown:
        raise WrongChoice(
            f"{log.file.path}: has the class {unknown[0]!r}, which is not among the spec's classes"
        )


def _publish(settings: Settings, records: list[ModelRecord], replace_known: bool) -> tuple[str, ...]:
    codec = Codec(
        (MODEL_RECORD,), ConfluentRegistry(settings.registry.url) if settings.registry.url else None
    )
    with world_failures():
        reader = CompactedReader(settings.kafka, MODELS)
        try:
            reader.refresh()
            producer = Producer(producer_config(settings.kafka))
            return publish(producer, codec, reader.state, records, replace=replace_known)
        except AlreadyRegistered as error:
            raise BadInput(
                f"{error.key!r} is registered with another content; --replace replaces it"
            ) from error
        finally:
            reader.close()
