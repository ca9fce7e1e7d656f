"""`driftsonde standalone`"""

import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import click

from driftsonde.commands.errors import Failed, end_on_sigterm, settings_of_environment, world_failures
from driftsonde.standalone.child import ChildFailed
from driftsonde.standalone.cluster import Cluster

_CHECK_S = 1.0


@click.command()
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory for the store and the logs; default: a temporary one, removed at the end.",
)
def standalone(data: Path | None) -> None:
    """Run broker, store and all services on this machine until Ctrl-C.

    The broker keeps messages in memory only, about 5 MB of each partition: for trying things out, not for production.
    DRIFTSONDE_* variables configure the services, but for the addresses of Kafka and ClickHouse.
    """
    end_on_sigterm()
    settings = settings_of_environment()
    with ExitStack() as stack:
        directory = data or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="driftsonde-")))
        click.echo("starting …", err=True)
        try:
            with world_failures():
                cluster = stack.enter_context(Cluster(directory, settings=settings))
        except (ChildFailed, RuntimeError) as error:
            raise Failed(str(error)) from error
        click.echo(describe(cluster, directory))
        _watch(cluster)


def _watch(cluster: Cluster) -> None:
    try:
        while True:
            time.sleep(_CHECK_S)
            cluster.check()
    except ChildFailed as error:
        raise Failed(str(error)) from error
    except KeyboardInterrupt:
        click.echo("stopping …", err=True)


def describe(cluster: Cluster, directory: Path) -> str:
    """Where things are, and how to send the first event."""
    kafka, clickhouse = cluster.settings.kafka, cluster.settings.clickhouse
    return f"""\
Kafka        {kafka.bootstrap_servers}
ClickHouse   http://{clickhouse.host}:{clickhouse.port}, database {clickhouse.database}
Controller   {cluster.controller_url}
Logs, data   {directory}

For the commands of driftsonde, in another terminal:

{chr(10).join(f"    {line}" for line in cluster.exports())}

The first event: save this as shop.toml, and run `driftsonde register shop.toml --version 1`

    name = "shop"
    task = "binary"
    classes = ["no", "yes"]
    window = "1m"

then send one from Python:

    from driftsonde.client import Monitor
    with Monitor("{kafka.bootstrap_servers}", "shop", "1", task="binary") as monitor:
        (id,) = monitor.log({{"amount": 12.5, "country": "FR"}}, prediction="yes", score=0.93)
        monitor.label(id, "yes")

Ctrl-C stops it."""
