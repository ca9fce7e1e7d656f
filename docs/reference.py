"""Writes docs/reference/ out of the code: `python docs/reference.py`. A test says when a page is out of date."""

import json
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import click
from prometheus_client import CollectorRegistry

from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.metrics import metrics_table
from driftsonde.adapters.service import Conditions
from driftsonde.adapters.settings import ClickHouseSettings, settings_table
from driftsonde.adapters.topics import TOPICS, Topic
from driftsonde.adapters.wire_models import Catalogue
from driftsonde.cli import COMMANDS, cli
from driftsonde.controller.api import create_api
from driftsonde.controller.backend import Backend
from driftsonde.controller.guard import Guard
from driftsonde.core.control.state import State

HERE = Path(__file__).resolve().parent
SCHEMAS = HERE.parent / "schemas"

_TABLE = re.compile(
    r"((?:--[^\n]*\n)*)CREATE (?:TABLE IF NOT EXISTS|OR REPLACE VIEW) (\w+)( AS \w+)?(.*?);\n", re.DOTALL
)
_COLUMN = re.compile(r"^    (\w+) ([A-Z]\w*(?:\((?:[^()]|\([^()]*\))*\))?)", re.MULTILINE)
_ADDED = re.compile(r"ALTER TABLE (\w+) ADD COLUMN IF NOT EXISTS (\w+) ([A-Z]\w*(?:\([^()]*\))?)")


def pages() -> dict[str, str]:
    """The text of each page by its file's name."""
    return {
        "cli.md": _page("Commands", "driftsonde", _commands()),
        "settings.md": _page(
            "Settings", "environment variables of services and commands", [settings_table()]
        ),
        "metrics.md": _page("Metrics", "what the services tell Prometheus", [metrics_table()]),
        "topics.md": _page("Topics and events", "what is on Kafka", _topics()),
        "tables.md": _page("Tables", "what is in ClickHouse", _tables()),
        "api.md": _page("HTTP API", "of the controller", _operations(_openapi())),
    }


def write(directory: Path = HERE / "reference") -> None:
    directory.mkdir(exist_ok=True)
    for name, text in pages().items():
        (directory / name).write_text(text, encoding="utf-8")


def _page(title: str, what: str, parts: Iterator[str] | list[str]) -> str:
    body = "\n".join(parts).strip()
    return f"# {title}: {what}\n\nWritten by `python docs/reference.py` out of the code.\n\n{body}\n"


_MANNERS = """
With `--json` a command prints one JSON document on standard output (`tail` one a line), and everything else on standard error.
Long work shows a progress bar where standard error is a terminal. `driftsonde completion bash` (or `zsh`, `fish`) prints what
completes commands and options with the Tab key; its help says where that goes.

| exit status | means |
|---|---|
| 0 | done; for `status` and `doctor`: all is well |
| 1 | the world failed: a server is away or refuses, a check found something; the line on standard error says what to do |
| 2 | wrong use, or a file or setting that can't be used |
| 3 | `status`: something is open |
| 130, 143 | ended by Ctrl-C or SIGTERM |
"""


def _commands() -> Iterator[str]:
    yield _MANNERS
    context = click.Context(cli, info_name="driftsonde")
    for name in sorted(COMMANDS):
        command = cli.get_command(context, name)
        assert command is not None
        yield from _help(command, click.Context(command, context, info_name=name))


def _help(command: click.Command, context: click.Context) -> Iterator[str]:
    context.max_content_width = context.terminal_width = 100
    yield f"## {context.command_path}\n\n```text\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _help(inner, click.Context(inner, context, info_name=name))


def _topics() -> Iterator[str]:
    yield "| topic | holds | key | kept |\n|---|---|---|---|"
    for topic in TOPICS:
        yield f"| `{topic.name}` | {topic.holds} | {topic.key} | {_kept(topic)} |"
    for file in sorted((SCHEMAS / "avro").glob("*.avsc")):
        schema: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        yield f"\n## {schema['name']}\n\n{schema['doc']}\n\n| field | type | meaning |\n|---|---|---|"
        for field in schema["fields"]:
            default = f" Default: `{json.dumps(field['default'])}`." if "default" in field else ""
            yield f"| `{field['name']}` | {_type(field['type'])} | {field.get('doc', '')}{default} |"


def _kept(topic: Topic) -> str:
    if topic.compacted:
        return "the newest of each key"
    return "for ever" if topic.retention_ms < 0 else f"{topic.retention_ms // 86_400_000} days"


def _type(avro: Any) -> str:
    if isinstance(avro, str):
        return avro
    if isinstance(avro, list):
        return " or ".join(_type(entry) for entry in avro)
    if avro["type"] in ("array", "map"):
        return f"{avro['type']} of {_type(avro.get('items', avro.get('values')))}"
    if "name" in avro:
        inner = ", ".join(f"{field['name']}: {_type(field['type'])}" for field in avro.get("fields", ()))
        return f"{avro['name']} ({inner or ', '.join(avro.get('symbols', ()))})"
    return _type(avro["type"])


def _tables() -> Iterator[str]:
    sql = "".join(file.read_text(encoding="utf-8") for file in sorted((SCHEMAS / "clickhouse").glob("*.sql")))
    added: dict[str, list[tuple[str, str]]] = {}
    for table, column, kind in _ADDED.findall(sql):
        added.setdefault(table, []).append((column, kind))
    newest = {match[1]: match for match in _TABLE.findall(sql)}  # a view may be replaced later
    for name, (comment, _, like, body) in newest.items():
        said = " ".join(line.removeprefix("--").strip() for line in comment.splitlines())
        yield f"## {name}\n\n{said}\n"
        columns = [*_COLUMN.findall(body.partition("ENGINE")[0]), *added.get(name, [])]
        if like:
            yield f"Columns as in `{like.split()[1]}`.\n"
        elif columns and "SELECT" not in body:
            yield "| column | type |\n|---|---|"
            yield from (f"| `{column}` | `{kind}` |" for column, kind in columns)
            yield ""


def _openapi() -> Mapping[str, Any]:
    """The API's own description; nothing behind it is ever asked."""
    backend = Backend(
        state=State,
        catalogue=lambda: Catalogue({}, {}, {}),
        submit=lambda _: Future(),
        ready=Conditions(),
        registry=CollectorRegistry(),
        guard=Guard(lambda: (), lambda: 0.0, lambda _: None),
        store=Store(ClickHouseSettings()),
    )
    return create_api(backend, "current").openapi()


def _operations(document: Mapping[str, Any]) -> Iterator[str]:
    yield "The OpenAPI document itself: `GET /openapi.json`.\n\n| request | what |\n|---|---|"
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            said = " ".join(operation.get("description", operation["summary"]).split())
            yield f"| `{method.upper()} {path}` | {said} |"


if __name__ == "__main__":
    write()
