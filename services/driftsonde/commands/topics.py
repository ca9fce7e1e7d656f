"""`driftsonde topics`"""

import click

from driftsonde.adapters.kafka import TopicState, ensure_topics
from driftsonde.commands.errors import Failed, reach, settings_of_environment, world_failures
from driftsonde.commands.output import json_option, say


@click.group()
def topics() -> None:
    """The Kafka topics."""


@topics.command()
@click.option("--partitions", type=click.IntRange(1), default=4, show_default=True, help="Of each topic.")
@click.option("--replication", type=click.IntRange(1), default=1, show_default=True, help="Copies kept.")
@json_option
def create(partitions: int, replication: int, as_json: bool) -> None:
    """Make the topics that are missing, and say how the others differ from what is wanted.

    Reads DRIFTSONDE_KAFKA_*. Changes no topic that exists; exit status 1 if one differs.
    """
    kafka = settings_of_environment().kafka
    reach(kafka)
    with world_failures():
        reports = ensure_topics(kafka, partitions=partitions, replication=replication)
    found = [
        {"topic": report.topic, "state": report.state.value, "differences": list(report.differences)}
        for report in reports
    ]
    lines = [f"{report.topic}: {'; '.join((report.state.value, *report.differences))}" for report in reports]
    say(found, lines, as_json)
    differing = [report.topic for report in reports if report.state is TopicState.DIFFERS]
    if differing:
        raise Failed(f"not as wanted: {', '.join(differing)}")
