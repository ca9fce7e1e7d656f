"""`driftsonde audit`"""

from collections.abc import Mapping

import click

from driftsonde.adapters import topics
from driftsonde.adapters.audit import UnreadableLink, links_of_archive, links_of_topic
from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.schema_registry import ConfluentRegistry
from driftsonde.adapters.settings import Settings
from driftsonde.commands.errors import Failed, settings_of_environment, world_failures
from driftsonde.controller.journal import read_whole
from driftsonde.core.control.chain import Finding, verify

TOPIC, ARCHIVE = "topic", "archive"


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
def verify_command(model: str, source: str) -> None:
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
    broken = False
    for name in sorted({name for findings in found.values() for name in findings}):
        if model in ("", name):
            broken |= _report(
                name, {where: it[name] for where, it in found.items() if name in it}, len(found)
            )
    if broken:
        raise Failed("the audit log is broken")
    if model and not any(model in findings for findings in found.values()):
        raise Failed(f"no decision of model {model!r}")


def _of_topic(settings: Settings) -> Mapping[str, Finding]:
    registry = ConfluentRegistry(settings.registry.url) if settings.registry.url else None
    payloads = read_whole(settings.kafka, topics.DECISIONS)
    try:
        return _by_model(verify(links_of_topic(payloads, registry)))
    except UnreadableLink as error:
        raise Failed(f"the audit log is broken: {error}") from error


def _by_model(findings: list[Finding]) -> Mapping[str, Finding]:
    return {finding.model: finding for finding in findings}


def _report(model: str, found: Mapping[str, Finding], sources: int) -> bool:
    """Print what is found of one model; whether something is wrong."""
    problems = []
    for where, finding in found.items():
        click.echo(
            f"{model}: {where}: {finding.head.sequence} links, head {finding.head.hash[:16] or '-'}"
            + (f", {finding.unchained} decisions before the chain" if finding.unchained else "")
        )
        if finding.problem:
            problems.append(f"{where}: {finding.problem}")
    if sources == 2 and not problems:
        problems += _disagreement(found.get(TOPIC), found.get(ARCHIVE))
    for problem in problems:
        click.echo(f"{model}: BROKEN: {problem}")
    return bool(problems)


def _disagreement(topic: Finding | None, archive: Finding | None) -> list[str]:
    if topic is None or (archive is not None and archive.head.sequence > topic.head.sequence):
        return ["the archive has decisions that the topic no longer has"]
    if archive is None or archive.head.sequence < topic.head.sequence:
        click.echo(f"{topic.model}: the archive is behind")
        return []
    return [] if archive.head == topic.head else ["topic and archive end in different links"]
