"""One run of the demo: its parts started in order, the story played, the results shown."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rich.console import Console

from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.settings import ControllerSettings, JudgeSettings, Settings, SketcherSettings
from driftsonde.client import Monitor
from driftsonde.core.baseline import Baseline
from driftsonde.core.events import Variant
from driftsonde.standalone.cluster import Cluster
from driftsonde.standalone.demo.archive import Archive
from driftsonde.standalone.demo.control_log import ControlLog
from driftsonde.standalone.demo.data import Rows
from driftsonde.standalone.demo.display import (
    Display,
    show_doors,
    show_expectations,
    show_numbers,
    show_places,
    show_timeline,
)
from driftsonde.standalone.demo.expectations import check
from driftsonde.standalone.demo.facts import timeline
from driftsonde.standalone.demo.receiver import Receiver, new_secret
from driftsonde.standalone.demo.serving import Serving
from driftsonde.standalone.demo.story import BASELINE_ROWS, SPEC, TRAINING_ROWS, Story
from driftsonde.standalone.demo.summary import summarise
from driftsonde.standalone.demo.traffic import TrafficFeed

_CHECK_S = 1.0


# Writes the result files and their page into a directory; returns the page's path.
WritePage = Callable[[Store, Baseline, Path], Path]


def run(
    rows: Rows,
    source: str,
    directory: Path,
    console: Console,
    write_page: WritePage,
    *,
    keep: bool,
    as_json: bool,
) -> bool:
    """Play the story on `rows` with its data in `directory`; whether all that should have happened did.

    Progress and results go to `console`; with `as_json` the results go to standard output as one object instead.
    Raises what `Cluster`, `Store` and `write_page` raise, and httpx.HTTPError.
    """
    started_s = time.monotonic()
    display = Display(console)
    with _story(rows, source, directory, display) as story:
        with display:
            story.play()
        facts = story.facts()
        expectations = check(facts)
        page = write_page(story.archive.store, story.baseline, directory) if story.baseline else None
        if as_json:
            print(json.dumps(summarise(facts, expectations, time.monotonic() - started_s)), flush=True)
        else:
            show_timeline(console, timeline(facts))
            show_numbers(console, facts)
            show_expectations(console, expectations)
            show_places(console, directory, page)
        if keep:
            show_doors(console, story.cluster)
            _keep_running(story)
    return all(expectation.met for expectation in expectations)


@contextmanager
def _story(rows: Rows, source: str, directory: Path, display: Display) -> Iterator[Story]:
    """Start the parts; stop them after the block."""
    with Receiver({"oncall": new_secret(), "retrain": new_secret()}) as receiver:
        display.phase("Start broker, store, sketcher, judge, archiver and controller")
        directory.mkdir(parents=True, exist_ok=True)
        settings = Settings(
            sketcher=SketcherSettings(flush_interval_ms=200),
            judge=JudgeSettings(settle_interval_ms=200),
            controller=ControllerSettings(webhooks_file=str(_write_webhooks(receiver, directory))),
        )
        with ExitStack() as stack:
            with display:
                cluster = stack.enter_context(Cluster(directory, settings=settings))
            display.say(f"watch it in the console: {cluster.controller_url}")
            kafka = cluster.settings.kafka

            def monitor(version: str, variant: Variant) -> Monitor:
                return Monitor(kafka.bootstrap_servers, SPEC.name, version, variant, task=SPEC.task)

            store = Store(cluster.settings.clickhouse)
            with TrafficFeed(kafka, SPEC.name) as feed, ControlLog(kafka) as log:
                live = rows.part(TRAINING_ROWS + BASELINE_ROWS, len(rows))
                serving = Serving(live, {}, lambda: feed.split, monitor)
                try:
                    archive = Archive(store, SPEC.name)
                    yield Story(cluster, archive, receiver, log, feed, serving, rows, source, display)
                finally:
                    serving.close()
                    store.close()


def _write_webhooks(receiver: Receiver, directory: Path) -> Path:
    """The controller's configuration, for its owner's eyes: it has the secrets."""
    path = directory / "webhooks.toml"
    path.touch(mode=0o600)
    path.write_text(
        f"""\
allow_hosts = ["127.0.0.1"]

[[endpoints]]
name = "oncall"
url = "{receiver.url("oncall")}"
secret = "{receiver.secrets["oncall"]}"
kinds = ["alert", "resolve", "retrain", "rollback"]

[retrain]
url = "{receiver.url("retrain")}"
secret = "{receiver.secrets["retrain"]}"
""",
        encoding="utf-8",
    )
    return path


def _keep_running(story: Story) -> None:
    try:
        story.resume()
        while True:
            time.sleep(_CHECK_S)
            story.check()
    except KeyboardInterrupt:
        return
