"""`driftsonde register`"""

import asyncio
import base64
import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import click
import httpx
from confluent_kafka import Producer

from driftsonde.adapters.avro import Codec
from driftsonde.adapters.cards import parse_card
from driftsonde.adapters.kafka import CompactedReader, producer_config
from driftsonde.adapters.mlflow import MlflowServer
from driftsonde.adapters.mlflow_registry import (
    InvalidReference,
    NotInMlflow,
    RegistryVersion,
    parse_reference,
    read_version,
)
from driftsonde.adapters.outbound import Sender
from driftsonde.adapters.schema_registry import ConfluentRegistry
from driftsonde.adapters.settings import Settings
from driftsonde.adapters.specs import baseline_from_json, spec_from_toml
from driftsonde.adapters.talk import NoAnswer, held
from driftsonde.adapters.topics import MODELS
from driftsonde.adapters.wire_models import (
    MODEL_RECORD,
    AlreadyRegistered,
    ModelRecord,
    origin_record,
    spec_record,
    version_record,
)
from driftsonde.adapters.wire_models import (
    register as publish,
)
from driftsonde.commands.errors import (
    BadInput,
    Failed,
    reach,
    read_document,
    settings_of_environment,
    world_failures,
)
from driftsonde.commands.output import json_option, say
from driftsonde.commands.progress import progress
from driftsonde.core.baseline import Baseline
from driftsonde.core.events import InvalidEvent
from driftsonde.core.origin import Origin, merged
from driftsonde.core.outcomes import classes_of
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
    "--mlflow",
    "mlflow_reference",
    metavar="models:/NAME/VERSION",
    help="Take the version, and where it comes from, from MLflow's registry; models:/NAME@ALIAS is possible, too.",
)
@click.option(
    "--mlflow-url", envvar="MLFLOW_TRACKING_URI", help="MLflow's server; else MLFLOW_TRACKING_URI says it."
)
@click.option(
    "--card",
    "card_file",
    metavar="VERSION.toml",
    type=_FILE,
    help="Where the version comes from and what it is for; what it says goes before what MLflow says.",
)
@click.option(
    "--replace", "replace_known", is_flag=True, help="Also if the name is taken, by another content."
)
@json_option
def register(
    spec_file: Path,
    version: str | None,
    baseline_file: Path | None,
    data_file: Path | None,
    mlflow_reference: str | None,
    mlflow_url: str | None,
    card_file: Path | None,
    replace_known: bool,
    as_json: bool,
) -> None:
    """Register a model, and with --version one of its versions and its baseline.

    --data has one prediction a row, with the column prediction, and where there are any timestamp, score and label; the
    others are the features and segments, named as they will be logged. --card has owner, context, intended_use, approval,
    description, code_revision, run, artifact, and the tables data (name = fingerprint), params, metrics, features (name =
    type), feature_views (name = version) and tags. --mlflow reads MLFLOW_TRACKING_TOKEN, or
    MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, where the server asks who it is. Reads DRIFTSONDE_KAFKA_*.
    Registering the same again changes nothing.
    """
    if mlflow_reference and version:
        raise BadInput("--mlflow and --version exclude each other: MLflow says which version it is")
    found = of_mlflow(mlflow_reference, mlflow_url) if mlflow_reference else None
    version = version if found is None else found.version
    if baseline_file and data_file:
        raise BadInput("--baseline and --data exclude each other")
    if (baseline_file or data_file or card_file) and not version:
        raise BadInput("--version is needed: a baseline and a card belong to a version of the model")
    spec = read_document(spec_file, spec_from_toml)
    baseline = read_document(baseline_file, baseline_from_json) if baseline_file else None
    if data_file and version:
        baseline = baseline_of(spec, version, data_file, aside=as_json)
    records = [spec_record(spec)]
    if version:
        own = replace(baseline, model=spec.name, version=version) if baseline else None
        records.append(version_record(spec.name, version, own))
    if found is not None:
        tell_origin(spec, found.origin, aside=as_json)
    origin = _origin(card_file, found)
    if version and origin is not None:
        records.append(origin_record(spec.name, version, origin))
    written = _publish(settings_of_environment(), records, replace_known)
    told = {record.key: "registered" if record.key in written else "nothing new" for record in records}
    say(told, [f"{key}: {what}" for key, what in told.items()], as_json)


def _origin(card_file: Path | None, found: RegistryVersion | None) -> Origin | None:
    card = read_document(card_file, parse_card) if card_file else None
    if card is None or found is None:
        return card or (found.origin if found else None)
    return replace(merged(card, found.origin), source=found.origin.source)


def of_mlflow(reference: str, url: str | None) -> RegistryVersion:
    """Raises `BadInput` or `Failed`."""
    if not url:
        raise BadInput("--mlflow-url is needed, or MLFLOW_TRACKING_URI")
    try:
        wanted, host = parse_reference(reference), httpx.URL(url).host
    except (InvalidReference, httpx.InvalidURL) as error:
        raise BadInput(str(error)) from error
    server = MlflowServer(url.rstrip("/"), _authorization(os.environ))

    async def read() -> RegistryVersion:
        # Who types an address may reach it, be it internal; nowhere else may the server send us.
        sender = Sender(frozenset({host}))
        try:
            return await held(read_version(server, wanted), sender)
        finally:
            await sender.close()

    try:
        return asyncio.run(read())
    except NotInMlflow as error:
        raise BadInput(str(error)) from error
    except NoAnswer as error:
        raise Failed(f"MLflow: {error}") from error


def _authorization(environ: Mapping[str, str]) -> str:
    """The header's value, from the variables that MLflow's own client reads."""
    token, user = environ.get("MLFLOW_TRACKING_TOKEN"), environ.get("MLFLOW_TRACKING_USERNAME")
    if token:
        return f"Bearer {token}"
    if user:
        pair = f"{user}:{environ.get('MLFLOW_TRACKING_PASSWORD', '')}"
        return f"Basic {base64.b64encode(pair.encode()).decode()}"
    return ""


def tell_origin(spec: ModelSpec, origin: Origin, *, aside: bool = False) -> None:
    """`aside`: on standard error, where standard output is for a program."""
    click.echo(
        f"{origin.source}: run {origin.run or 'unknown'}, {len(origin.columns)} columns in its signature",
        err=aside,
    )
    names = {name for name, _ in origin.columns}
    strangers = [name for name in spec.segments if names and name not in names]
    if strangers:
        click.echo(
            f"  not in the signature, so it has to be logged beside it: {', '.join(strangers)}", err=aside
        )


def baseline_of(spec: ModelSpec, version: str, file: Path, *, aside: bool = False) -> Baseline:
    """The baseline of a file's rows, at most `MOST_BASELINE_ROWS`; `aside` as above. Raises `BadInput`."""
    order = Order(
        file=file,
        out=Path(),
        model=spec.name,
        # Training data seldom says when.
        choices=Choices(task=spec.task, version_name=version, segments=spec.segments, timed=False),
        window_ms=spec.window_ms,
        label_wait_ms=spec.label_wait_ms,
        baseline_rows=MOST_BASELINE_ROWS,
    )
    with tempfile.TemporaryDirectory(prefix="driftsonde-") as directory:
        try:
            with progress() as tell:
                log = read_log(order, Path(directory), tell)
            _check_classes(spec, log)
            baseline = take_baseline(order, spec, log)
        except (UnreadableFile, WrongChoice, InvalidEvent, OSError) as error:
            raise BadInput(str(error)) from error
    click.echo(
        f"baseline: {baseline.rows} rows of {file.name}, {log.rows_rejected} could not be read", err=aside
    )
    for entry in log.rejected:
        click.echo(f"  line {entry.line}: {entry.reason}", err=aside)
    return baseline


def _check_classes(spec: ModelSpec, log: Log) -> None:
    unknown = sorted(set(log.classes) - set(classes_of(spec)))
    if spec.task is not Task.REGRESSION and unknown:
        raise WrongChoice(
            f"{log.file.path}: has the class {unknown[0]!r}, which is not among the spec's classes"
        )


def _publish(settings: Settings, records: list[ModelRecord], replace_known: bool) -> tuple[str, ...]:
    codec = Codec(
        (MODEL_RECORD,), ConfluentRegistry(settings.registry.url) if settings.registry.url else None
    )
    reach(settings.kafka)
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
