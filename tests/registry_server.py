"""A Schema Registry for tests: the documented HTTP interface as far as Confluent's client and its users ask it.

Subjects and schemas live in memory, and outlive a stop. Compatibility is FULL_TRANSITIVE or NONE.
"""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from driftsonde.adapters.avro import parse_avro_schema
from schema_rules import incompatible

CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"

Answer = tuple[int, Any]


def _error(code: int, message: str) -> Answer:
    """The first three digits of a code are its HTTP status."""
    return int(str(code)[:3]), {"error_code": code, "message": message}


@dataclass
class Registry:
    """`requests`: what was asked, by method and path. Answers come after `silence_s`."""

    port: int = 0
    compatibility: str = "FULL_TRANSITIVE"
    schemas: list[str] = field(default_factory=list)
    subjects: dict[str, list[int]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    silence_s: float = 0.0
    _server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                time.sleep(registry.silence_s)
                length = int(self.headers.get("Content-Length", 0))
                body = json.loads(self.rfile.read(length)) if length else {}
                status, answer = registry.ask(self.command, unquote(urlsplit(self.path).path), body)
                payload = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", CONTENT_TYPE)
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            do_GET = do_POST = do_PUT = _answer

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def ask(self, method: str, path: str, body: dict[str, Any]) -> Answer:
        self.requests.append(f"{method} {path}")
        routes: dict[str, Callable[..., Answer]] = {
            r"POST /subjects/([^/]+)/versions": self._register,
            r"POST /subjects/([^/]+)": self._look_up,
            r"GET /subjects/([^/]+)/versions/([^/]+)": self._version,
            r"GET /schemas/ids/(\d+)": self._schema,
            r"POST /compatibility/subjects/([^/]+)/versions/([^/]+)": self._test,
            r"PUT /config/([^/]+)": self._configure,
            r"GET /subjects": lambda _: (200, list(self.subjects)),
        }
        for pattern, route in routes.items():
            found = re.fullmatch(pattern, f"{method} {path}")
            if found:
                return route(*found.groups(), body)
        return _error(404, "HTTP 404 Not Found")

    def _register(self, subject: str, body: dict[str, Any]) -> Answer:
        text = body["schema"]
        try:
            parse_avro_schema(text)
        except ValueError as error:
            return _error(42201, f"Invalid schema: {error}")
        problems = self._problems(subject, text)
        if problems:
            return _error(409, f"Schema being registered is incompatible with an earlier one: {problems}")
        if text not in self.schemas:
            self.schemas.append(text)
        schema_id = self.schemas.index(text) + 1
        versions = self.subjects.setdefault(subject, [])
        if schema_id not in versions:
            versions.append(schema_id)
        return 200, {"id": schema_id}

    def _look_up(self, subject: str, body: dict[str, Any]) -> Answer:
        for version, schema_id in enumerate(self.subjects.get(subject, []), 1):
            if self.schemas[schema_id - 1] == body["schema"]:
                return 200, self._described(subject, version, schema_id)
        return _error(40403, "Schema not found")

    def _version(self, subject: str, version: str, _: dict[str, Any]) -> Answer:
        versions = self.subjects.get(subject)
        if versions is None:
            return _error(40401, f"Subject '{subject}' not found.")
        number = len(versions) if version == "latest" else int(version)
        if not 1 <= number <= len(versions):
            return _error(40402, f"Version {version} not found.")
        return 200, self._described(subject, number, versions[number - 1])

    def _schema(self, schema_id: str, _: dict[str, Any]) -> Answer:
        if not 1 <= int(schema_id) <= len(self.schemas):
            return _error(40403, f"Schema {schema_id} not found")
        return 200, {"schema": self.schemas[int(schema_id) - 1]}

    def _test(self, subject: str, _version: str, body: dict[str, Any]) -> Answer:
        problems = self._problems(subject, body["schema"])
        return 200, {"is_compatible": not problems, "messages": problems}

    def _configure(self, _subject: str, body: dict[str, Any]) -> Answer:
        self.compatibility = body["compatibility"]
        return 200, body

    def _described(self, subject: str, version: int, schema_id: int) -> dict[str, Any]:
        text = self.schemas[schema_id - 1]
        return {"subject": subject, "id": schema_id, "version": version, "schema": text}

    def _problems(self, subject: str, text: str) -> list[str]:
        if self.compatibility == "NONE":
            return []
        new = parse_avro_schema(text)
        earlier = [parse_avro_schema(self.schemas[number - 1]) for number in self.subjects.get(subject, [])]
        return [problem for schema in earlier for problem in incompatible(new, schema)]


@contextmanager
def running_registry() -> Iterator[Registry]:
    registry = Registry()
    registry.start()
    try:
        yield registry
    finally:
        registry.stop()
