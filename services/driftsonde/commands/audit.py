"""`driftsonde audit`"""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import click

from driftsonde.adapters import topics
from driftsonde.adapters.audit import UnreadableLink, links_of_archive, links_of_topic
from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.schema_registry import ConfluentRegistry
from driftsonde.adapters.settings import Settings
from driftsonde.commands.errors import Failed, reach, settings_of_environment, world_failures
from driftsonde.commands.output import json_option, say
from driftsonde.controller.journal import read_whole
from driftsonde.core.control.chain import Finding, verify

TOPIC, ARCHIVE = "topic", "archive"


@dataclass(frozen=True, slots=True)
class Chain:
    """What is found of one model's decisions, by source."""

    model: str
    sources: Mapping[str, Finding]
    problems: tuple[str, ...]
    archive_is_behind: bool


@click.group()
def audit() -> None:
    """The log of all decisions, and whether anybody changed it."""


@audit.command("verify")
@click.option("--model", default="", help="Only this model's chain.")
@click.option(
    "--source",
    type=click.Choice(["both", TOPIC, ARCHIVE]),
    default="both",
    show_default=True,
    help="The topic `decisions`, its archive in ClickHouse, or both, and whether they agree.",
)
@json_option
def verify_command(model: str, source: str, as_json: bool) -> None:
    """Follow the chain of decisions, link by link, and say where it first breaks.

    Reads DRIFTSONDE_KAFKA_* and DRIFTSONDE_CLICKHOUSE_*. Exit status 1 if a chain breaks, or if one source has another
    link where the other has one; an archive may be behind. Note the heads that it prints somewhere else: a chain whose
    end was cut off everywhere shows in nothing but its head.
    """
    settings = settings_of_environment()
    found: dict[str, Mapping[str, Finding]] = {}
    with world_failures():
        if source != ARCHIVE:
            found[TOPIC] = _of_topic(settings)
        if source != TOPIC:
            found[ARCHIVE] = _by_model(verify(links_of_archive(Store(settings.clickhouse))))
    names = sorted(name for name in {it for of in found.values() for it in of} if model in ("", name))
    chains = [
        _chain(name, {where: it[name] for where, it in found.items() if name in it}, len(found))
        for name in names
    ]
    lines = [line for chain in chains for line in _lines(chain)]
    say([dataclasses.asdict(chain) for chain in chains], lines, as_json)
    if any(chain.problems for chain in chains):
        raise Failed("the audit log is broken")
    if model and not chains:
        raise Failed(f"no decision of model {model!r}")


def _of_topic(settings: Settings) -> Mapping[str, Finding]:
    registry = ConfluentRegistry(settings.registry.url) if settings.registry.url else None
    reach(settings.kafka)
    payloads = read_whole(settings.kafka, topics.DECISIONS)
    try:
        return _by_model(verify(links_of_topic(payloads, registry)))
    except UnreadableLink as error:
        raise Failed(f"the audit log is broken: {error}") from error


def _by_model(findings: list[Finding]) -> Mapping[str, Finding]:
    return {finding.model: finding for finding in findings}


def _chain(model: str, found: Mapping[str, Finding], sources: int) -> Chain:
    problems = tuple(f"{where}: {finding.problem}" for where, finding in found.items() if finding.problem)
    topic, archive = found.get(TOPIC), found.get(ARCHIVE)
    behind = sources == 2 and not problems and topic is not None and _sequence(archive) < topic.head.sequence
    if sources == 2 and not problems and not behind:
        problems = _disagreement(topic, archive)
    return Chain(model, dict(found), problems, behind)


def _disagreement(topic: Finding | None, archive: Finding | None) -> tuple[str, ...]:
    if topic is None or _sequence(archive) > topic.head.sequence:
        return ("the archive has decisions that the topic no longer has",)
    if archive is not None and topic.head != archive.head:
        return ("topic and archive end in different links",)
    return ()


def _sequence(finding: Finding | None) -> int:
    return -1 if finding is None else finding.head.sequence


def _lines(chain: Chain) -> Iterator[str]:
    for where, finding in chain.sources.items():
        unchained = f", {finding.unchained} decisions before the chain" if finding.unchained else ""
        head = finding.head
        yield f"{chain.model}: {where}: {head.sequence} links, head {head.hash[:16] or '-'}{unchained}"
    if chain.archive_is_behind:
        yield f"{chain.model}: the archive is behind"
    for problem in chain.problems:
        yield f"{chain.model}: BROKEN: {problem}"
