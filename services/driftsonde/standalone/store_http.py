"""The part of ClickHouse's HTTP interface that clickhouse-connect and Grafana's plugin use, as an ASGI application.

Each request has a session of its own: `session_id` is accepted and has no effect, so a `SET` or a temporary table
does not outlive its request. ClickHouse's own block compression (`compress=1`, `decompress=1`) is refused.
"""

import asyncio
import base64
import hmac
import json
import uuid
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any
from urllib.parse import parse_qsl

from driftsonde.standalone.store_coding import BadCoding, BodyTooLarge, choose_coding, decode, encode
from driftsonde.standalone.store_engine import Answer, Call, Engine, EngineError
from driftsonde.standalone.store_sql import Statement, StatementRefused, parse_statement

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

READER = "reader"

# Parameters of a request that are not settings of the engine.
_TRANSPORT_PARAMETERS = frozenset(
    {
        "query", "database", "default_format", "user", "password", "query_id", "quota_key", "role", "session_id",
        "session_timeout", "session_check", "client_protocol_version", "wait_end_of_query", "buffer_size", "compress",
        "decompress",
    }
)  # fmt: skip

# The statuses that a ClickHouse server answers with; any other code is a 500.
_STATUS_OF_CODE = {
    **dict.fromkeys((27, 33, 36, 38, 41, 42, 43, 53, 62, 69, 70, 72, 117, 386, 456, 457), 400),
    **dict.fromkeys((164, 497, 516), 403),
    **dict.fromkeys((46, 47, 50, 60, 73, 81, 115), 404),
    307: 413,
}
_CONTENT_TYPES = {
    "JSON": "application/json; charset=UTF-8",
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
}


class _ClientGone(Exception):
    """The client closed the connection before its whole body was here."""


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """What the engine's thread needs of a request: `headers` has lower-case names, `body` is as sent."""

    method: str
    headers: Mapping[str, str]
    parameters: Mapping[str, str]
    user: str
    body: bytes


class StoreApp:
    """The ASGI application. An empty `token` lets everybody in; `executor` bounds how many statements run at once."""

    def __init__(self, engine: Engine, executor: Executor, *, token: str, max_body_bytes: int) -> None:
        self._engine = engine
        self._executor = executor
        self._token = token
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        try:
            reply = await self._answer(scope, receive)
        except _ClientGone:
            return
        headers = {"content-length": str(len(reply.body)), **reply.headers}
        encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": reply.status, "headers": encoded})
        await send({"type": "http.response.body", "body": reply.body})

    async def _answer(self, scope: MutableMapping[str, Any], receive: Receive) -> Reply:
        if scope["path"] == "/ping":
            return Reply(200, b"Ok.\n")
        if scope["path"] != "/" or scope["method"] not in ("GET", "POST"):
            return Reply(404, b"There is no such page; statements go to /\n")
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
        }
        parameters = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        user, password = _credentials(headers, parameters)
        if self._token and not hmac.compare_digest(password.encode(), self._token.encode()):
            return _error(
                516, f"Code: 516. DB::Exception: {user}: Authentication failed. (AUTHENTICATION_FAILED)"
            )
        body = await self._read_body(receive)
        if body is None:
            return self._too_large()
        request = Request(scope["method"], headers, parameters, user, body)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self._run, request)

    async def _read_body(self, receive: Receive) -> bytes | None:
        """The body, or None past the bound: the rest is read and thrown away, so that the client sees the answer."""
        chunks: list[bytes] = []
        size = 0
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _ClientGone  # half a body must not be inserted
            chunk: bytes = message.get("body", b"")
            size += len(chunk)
            if size <= self._max_body_bytes:
                chunks.append(chunk)
            more = message.get("more_body", False)
        return b"".join(chunks) if size <= self._max_body_bytes else None

    def _run(self, request: Request) -> Reply:
        try:
            body = decode(
                request.body, request.headers.get("content-encoding", "").lower(), self._max_body_bytes
            )
            parameters, sql = _split_form(request, body)
            statement = parse_statement(sql)
            call = _call(request, parameters, statement)
            return self._success(request, call, self._engine.run(call))
        except BodyTooLarge:
            return self._too_large()
        except BadCoding as error:
            return _error(89, f"Code: 89. DB::Exception: {error}. (UNKNOWN_COMPRESSION_METHOD)", status=400)
        except (EngineError, StatementRefused) as error:
            return _error(error.code, str(error))

    def _success(self, request: Request, call: Call, answer: Answer) -> Reply:
        format_name = call.statement.format or call.default_format
        summary = {
            "read_rows": str(answer.read_rows),
            "read_bytes": str(answer.read_bytes),
            "written_rows": str(answer.written_rows),
            "written_bytes": str(answer.written_bytes),
            "elapsed_ns": str(round(answer.elapsed_s * 1e9)),
        }
        headers = {
            "X-ClickHouse-Summary": json.dumps(summary),
            "X-ClickHouse-Query-Id": request.parameters.get("query_id") or str(uuid.uuid4()),
            "X-ClickHouse-Timezone": self._engine.timezone,
        }
        if call.statement.returns_rows:
            headers["X-ClickHouse-Format"] = format_name
            headers["Content-Type"] = _CONTENT_TYPES.get(format_name, "application/octet-stream")
        coding = None
        if request.parameters.get("enable_http_compression") == "1" and answer.body:
            coding = choose_coding(request.headers.get("accept-encoding", ""))
        if coding is None:
            return Reply(200, answer.body, headers)
        return Reply(200, encode(answer.body, coding), {**headers, "Content-Encoding": coding})

    def _too_large(self) -> Reply:
        message = f"the request body is larger than {self._max_body_bytes} bytes"
        return _error(307, f"Code: 307. DB::Exception: {message}. (TOO_MANY_BYTES)")


def _call(request: Request, parameters: Mapping[str, str], statement: Statement) -> Call:
    if "1" in (parameters.get("compress"), parameters.get("decompress")):
        raise StatementRefused(48, "compress and decompress are not supported here. (NOT_IMPLEMENTED)")
    return Call(
        statement=statement,
        database=parameters.get("database") or request.headers.get("x-clickhouse-database", ""),
        settings={
            name: value
            for name, value in parameters.items()
            if name not in _TRANSPORT_PARAMETERS and not name.startswith("param_")
        },
        parameters={name[6:]: value for name, value in parameters.items() if name.startswith("param_")},
        default_format=parameters.get("default_format")
        or request.headers.get("x-clickhouse-format", "TabSeparated"),
        # A GET changes nothing, as on a server: a page in a browser can't make one that does.
        readonly=request.user == READER or request.method == "GET",
    )


def _split_form(request: Request, body: bytes) -> tuple[Mapping[str, str], bytes]:
    """The parameters and the statement: the `query` parameter, then the body, which may be a form with both."""
    content_type = request.headers.get("content-type", "")
    parameters = dict(request.parameters)
    if content_type.startswith("multipart/form-data"):
        form = BytesParser(policy=HTTP).parsebytes(
            b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body
        )
        for part in form.iter_parts():
            if part.get_filename() is not None:
                raise StatementRefused(48, "External data is not supported here. (NOT_IMPLEMENTED)")
            value = part.get_payload(decode=True)
            assert isinstance(value, bytes)  # a part of a form is never itself multipart
            parameters[str(part.get_param("name", header="content-disposition"))] = value.decode()
        body = b""
    query = parameters.get("query", "").encode()
    return parameters, query + b"\n" + body if query and body else query or body


def _credentials(headers: Mapping[str, str], parameters: Mapping[str, str]) -> tuple[str, str]:
    """User and password from Basic auth, X-ClickHouse-User and -Key, or the address, in this order."""
    scheme, _, encoded = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except ValueError:
            return "default", ""
        return user, password
    user = headers.get("x-clickhouse-user") or parameters.get("user") or "default"
    return user, headers.get("x-clickhouse-key") or parameters.get("password", "")


def _error(code: int | None, message: str, status: int | None = None) -> Reply:
    headers = {"Content-Type": "text/plain; charset=UTF-8"}
    if code is None:
        return Reply(500, message.encode(), headers)
    headers["X-ClickHouse-Exception-Code"] = str(code)
    return Reply(status or _STATUS_OF_CODE.get(code, 500), message.encode(), headers)
