"""What MLflow's registry tells of a version: its run, metrics, parameters, tags, training data, and signature."""

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from driftsonde.adapters.mlflow import MlflowServer, is_refused
from driftsonde.adapters.outbound import Request
from driftsonde.adapters.talk import Asking, FoundVersion, Pause, Talk, ask
from driftsonde.adapters.training import poll_delays_ms
from driftsonde.core.origin import Origin, Pairs

MAX_PAIRS = 200
MAX_VALUE_CHARS = 500
MAX_VERSIONS = 50
DECISION_TAG = "driftsonde.decision"
GIT_COMMIT = "mlflow.source.git.commit"
# Tags of a version or of its run that say what MLflow has no field for, the first that is there.
FEATURE_VIEW_TAG = "feature_view."
CARD_TAGS = {
    "owner": ("owner",),
    "context": ("context", "business_context"),
    "intended_use": ("intended_use",),
    "approval": ("approval", "approval_status", "validation_status"),
}

_REFERENCE = re.compile(r"models:/(?P<name>[^/@]+)(?:/(?P<version>\d+)|@(?P<alias>[^/@]+))")
_PROXIED = "mlflow-artifacts:/"
# In the file MLmodel, which is YAML: a text in single quotes that may go on over lines.
_INPUTS = re.compile(r"^signature:\n(?:  .*\n)*?  inputs: '(?P<text>(?:[^']|'')*)'", re.MULTILINE)


class InvalidReference(ValueError):
    """Not the name of a version in MLflow's registry."""


class NotInMlflow(LookupError):
    """MLflow knows no such version, or refuses to tell."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A version by its number, or by an alias."""

    name: str
    version: str = ""
    alias: str = ""


@dataclass(frozen=True, slots=True)
class RegistryVersion:
    name: str
    version: str
    origin: Origin


def parse_reference(text: str) -> Reference:
    """
    >>> parse_reference("models:/fraud/3")
    Reference(name='fraud', version='3', alias='')
    >>> parse_reference("models:/fraud@champion")
    Reference(name='fraud', version='', alias='champion')
    """
    match = _REFERENCE.fullmatch(text)
    if match is None:
        raise InvalidReference(f"{text!r}: expected models:/NAME/VERSION or models:/NAME@ALIAS")
    return Reference(match["name"], match["version"] or "", match["alias"] or "")


@dataclass(frozen=True, slots=True)
class MlflowCandidates:
    """Looks for the version that a retraining has registered.

    model: the registered model's name, in which {model} is filled in.
    """

    server: MlflowServer
    model: str
    poll_ms: int = 10_000

    def find(self, model: str, decision: str, since_ms: int) -> Talk:
        """The version whose tag `driftsonde.decision` is the retraining's, else the newest since it was decided on."""
        name = self.model.replace("{model}", model)
        search = self.server.get(
            "model-versions/search",
            filter=f"name='{name}'",
            order_by="creation_timestamp DESC",
            max_results=str(MAX_VERSIONS),
        )
        for delay_ms in poll_delays_ms(self.poll_ms):
            try:
                versions = (yield from _object(search)).get("model_versions") or []
                version = _chosen(versions, decision, since_ms)
                if version:
                    found = yield from read_version(self.server, Reference(name, version))
                    yield FoundVersion(version, found.origin)
                    return ""
            except NotInMlflow as error:
                return str(error)
            yield Pause(delay_ms)
        raise AssertionError("there is always a next delay")


def _chosen(versions: list[Mapping[str, Any]], decision: str, since_ms: int) -> str:
    """ "" where there is none yet."""
    for found in versions:
        if _by_key(found.get("tags")).get(DECISION_TAG) == decision:
            return str(found["version"])
    newest = max(versions, key=lambda found: int(found["creation_timestamp"]), default=None)
    fresh = newest is not None and int(newest["creation_timestamp"]) >= since_ms
    return str(newest["version"]) if newest is not None and fresh else ""


def read_version(server: MlflowServer, reference: Reference) -> Asking[RegistryVersion]:
    """Raises `NotInMlflow`. What MLflow doesn't tell is left out: a version may have no run, a model no signature."""
    if reference.alias:
        where = server.get("registered-models/alias", name=reference.name, alias=reference.alias)
    else:
        where = server.get("model-versions/get", name=reference.name, version=reference.version)
    found = (yield from _object(where)).get("model_version") or {}
    run: Mapping[str, Any] = {}
    if found.get("run_id"):
        run = (yield from _object(server.get("runs/get", run_id=found["run_id"]))).get("run") or {}
    artifact = (
        yield from _object(
            server.get("model-versions/get-download-uri", name=reference.name, version=found["version"])
        )
    ).get("artifact_uri", "")
    columns = yield from _columns(server, artifact)
    return RegistryVersion(reference.name, found["version"], _origin(found, run, artifact, columns))


def _object(request: Request) -> Asking[dict[str, Any]]:
    reply = yield from ask(request)
    if is_refused(reply):
        raise NotInMlflow(f"MLflow: {reply.object().get('message') or reply.excerpt()}")
    return reply.object()


def _columns(server: MlflowServer, artifact: str) -> Asking[Pairs]:
    """Of the signature, where the server hands out artifacts itself."""
    if not artifact.startswith(_PROXIED):
        return ()
    path = quote(artifact.removeprefix(_PROXIED).strip("/") + "/MLmodel")
    reply = yield from ask(server.artifact(path))
    return signature_columns(reply.body.decode(errors="replace")) if reply.status == 200 else ()


def signature_columns(mlmodel: str) -> Pairs:
    """Names and types of what a model takes, from the file `MLmodel`; () where it has no signature of columns.

    >>> signature_columns("signature:\\n  inputs: '[{\\"type\\": \\"double\\",\\n    \\"name\\": \\"it''s\\"}]'\\n  outputs: null\\n")
    (("it's", 'double'),)
    """
    match = _INPUTS.search(mlmodel)
    if match is None:
        return ()
    text = re.sub(r"\n\s*", " ", match["text"]).replace("''", "'")
    try:
        columns = json.loads(text)
        return tuple((column["name"], column["type"]) for column in columns if "name" in column)
    except (ValueError, KeyError, TypeError):
        return ()


def _origin(found: Mapping[str, Any], run: Mapping[str, Any], artifact: str, columns: Pairs) -> Origin:
    data, inputs = run.get("data") or {}, run.get("inputs") or {}
    tags = {**_by_key(data.get("tags")), **_by_key(found.get("tags"))}
    sets = [entry.get("dataset") or {} for entry in inputs.get("dataset_inputs") or ()]
    return Origin(
        source=f"mlflow models:/{found['name']}/{found['version']}",
        run=found.get("run_id", ""),
        artifact=artifact,
        created_ms=int(found.get("creation_timestamp", 0)),
        description=found.get("description", "")[:MAX_VALUE_CHARS],
        code_revision=tags.pop(GIT_COMMIT, ""),
        columns=columns[:MAX_PAIRS],
        data=tuple((entry.get("name", ""), entry.get("digest", "")) for entry in sets[:MAX_PAIRS]),
        params=_pairs(_by_key(data.get("params"))),
        tags=_pairs({key: value for key, value in tags.items() if not key.startswith("mlflow.")}),
        metrics=tuple(sorted(_metrics(data.get("metrics") or ())))[:MAX_PAIRS],
        feature_views=_pairs(
            {
                key.removeprefix(FEATURE_VIEW_TAG): value
                for key, value in tags.items()
                if key.startswith(FEATURE_VIEW_TAG)
            }
        ),
        **{
            field: next((tags[name] for name in names if name in tags), "")[:MAX_VALUE_CHARS]
            for field, names in CARD_TAGS.items()
        },
    )


def _metrics(entries: Iterable[Mapping[str, Any]]) -> Iterable[tuple[str, float]]:
    for entry in entries:
        value = float(entry["value"])
        if math.isfinite(value):
            yield entry["key"], value


def _by_key(entries: Iterable[Mapping[str, str]] | None) -> dict[str, str]:
    return {entry["key"]: entry["value"] for entry in entries or ()}


def _pairs(values: Mapping[str, str]) -> Pairs:
    return tuple((key, value[:MAX_VALUE_CHARS]) for key, value in sorted(values.items())[:MAX_PAIRS])
