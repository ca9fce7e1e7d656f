"""HTTP out of the house: only to destinations that are allowed.

A host's addresses are looked up at every try, all of them are checked, and the connection goes to a checked address
with the host's name in TLS and in the Host header: a name that changes its address in between gains nothing.
"""

import asyncio
import email.utils
import ipaddress
import json
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from driftsonde.adapters.webhook import signature_headers
from driftsonde.core.control.retry import Answer

PORTS = (443, 8443)
CONNECT_TIMEOUT_S = 5.0
TOTAL_TIMEOUT_S = 20.0
# What is read of an answer. Longer ones count as failed: nothing that is asked for here is long.
MAX_ANSWER_BYTES = 1 << 20

# What `is_global` lets through although it leads, or may lead, to the inside: NAT64, 6to4, Teredo.
_TUNNELS = tuple(
    ipaddress.ip_network(text) for text in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")
)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Lookup = Callable[[str, int], Awaitable[list[str]]]


class ForbiddenDestination(ValueError):
    """A URL that deliveries may not go to; the message says why."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request. Its representation shows no secret: the URL of a chat's webhook is one, and headers hold others.

    accept: statuses besides 2xx that the asker deals with, so that they are not tried again. keys: sign every try as
    Standard Webhooks asks, under `id`. token_file: a file whose text is the bearer token, read at every try, because
    Kubernetes changes it. read: whether the answer's body is wanted.
    """

    url: str = field(repr=False)
    body: bytes = field(default=b"", repr=False)
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    accept: frozenset[int] = frozenset()
    keys: tuple[bytes, ...] = field(default=(), repr=False)
    id: str = ""
    token_file: str = ""
    read: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of one try; `body` is b"" unless it was asked for."""

    answer: Answer
    body: bytes = b""

    @property
    def status(self) -> int:
        return self.answer.status

    def json(self) -> Any:
        """The body, or None where it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def object(self) -> dict[str, Any]:
        """The body, or an empty object where it is not a JSON object."""
        found = self.json()
        return found if isinstance(found, dict) else {}

    def excerpt(self) -> str:
        """Status and the beginning of the body, for a person."""
        return f"status {self.status}: {self.body[:300].decode(errors='replace')}".rstrip(": ")


class _TooLong(Exception):
    pass


def check_url(text: str, allow_hosts: frozenset[str]) -> httpx.URL:
    """The URL, if deliveries may go there as far as its text tells. Raises `ForbiddenDestination`.

    A host on the allow-list may be internal, speak plain HTTP, and listen on any port.
    """
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise ForbiddenDestination(f"not a URL: {error}") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ForbiddenDestination("expected an https URL with a host")
    if url.port is not None and not 0 < url.port <= 65_535:
        raise ForbiddenDestination(f"there is no port {url.port}")
    if url.userinfo:
        raise ForbiddenDestination("a user name or password in the URL is not allowed")
    if not text.isascii():
        raise ForbiddenDestination("only ASCII is allowed in the URL")
    if url.host in allow_hosts:
        return url
    if url.scheme != "https":
        raise ForbiddenDestination("plain http is allowed only to hosts on the allow-list")
    if url.port not in (None, *PORTS):
        raise ForbiddenDestination(f"port {url.port} is allowed only for hosts on the allow-list")
    return url


def is_public(text: str) -> bool:
    """Whether an address is one of the open internet's."""
    address: Address = ipaddress.ip_address(text.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    if mapped is not None:
        address = mapped
    tunnel = any(address in network for network in _TUNNELS if network.version == address.version)
    return address.is_global and not (tunnel or address.is_multicast or address.is_reserved)


async def look_up(host: str, port: int) -> list[str]:
    """All addresses of a host, best first. Raises OSError."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a label of more than 63 characters, for one
        raise OSError(f"{host!r} is not a host name: {error}") from None
    return [str(entry[4][0]) for entry in found]


def trusting(ca_file: str) -> ssl.SSLContext | bool:
    """Who is believed in TLS: the public authorities, and those of the file if there is one. Raises OSError."""
    if not ca_file:
        return True
    context = httpx.create_ssl_context()
    context.load_verify_locations(cafile=ca_file)
    return context


@dataclass(slots=True)
class Sender:
    """Sends requests; for use in one event loop. Redirects and the environment's proxies are not followed."""

    allow_hosts: frozenset[str]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    lookup: Lookup = look_up
    transport: httpx.AsyncBaseTransport | None = None
    verify: ssl.SSLContext | bool = True
    total_timeout_s: float = TOTAL_TIMEOUT_S
    _client: httpx.AsyncClient = field(init=False)

    def __post_init__(self) -> None:
        self._client = httpx.AsyncClient(
            follow_redirects=False,
            trust_env=False,
            timeout=httpx.Timeout(self.total_timeout_s, connect=CONNECT_TIMEOUT_S),
            # A connection is never used again: the next message may go to another host at the same address.
            limits=httpx.Limits(max_keepalive_connections=0),
            transport=self.transport,
            verify=self.verify,
        )

    async def send(self, request: Request) -> Reply:
        """One try. Never raises for what the other side or the network does."""
        try:
            async with asyncio.timeout(self.total_timeout_s):
                return await self._send(request)
        except ForbiddenDestination as error:
            return Reply(Answer(0, str(error), refused=True))
        except TimeoutError:
            return Reply(Answer(0, f"no answer in {self.total_timeout_s:g} s"))
        except _TooLong:
            return Reply(Answer(0, f"the answer is longer than {MAX_ANSWER_BYTES} bytes"))
        except (httpx.HTTPError, OSError) as error:
            return Reply(Answer(0, f"{type(error).__name__}: {error}"))

    async def close(self) -> None:
        await self._client.aclose()

    async def _send(self, request: Request) -> Reply:
        url = check_url(request.url, self.allow_hosts)
        addresses = await self._addresses(url)
        headers = self._headers(request) | {"host": url.netloc.decode()}
        for address in addresses[:-1]:
            try:
                return await self._exchange(request, url, address, headers)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return await self._exchange(request, url, addresses[-1], headers)

    def _headers(self, request: Request) -> dict[str, str]:
        headers = {"user-agent": "driftsonde", "content-type": "application/json", **request.headers}
        if request.keys:
            headers |= signature_headers(request.keys, request.id, int(self.now().timestamp()), request.body)
        if request.token_file:
            token = Path(request.token_file).read_text(encoding="utf-8").strip()
            headers["authorization"] = f"Bearer {token}"
        return headers

    async def _addresses(self, url: httpx.URL) -> list[str]:
        addresses = await self.lookup(url.host, url.port or (443 if url.scheme == "https" else 80))
        if not addresses:
            raise OSError(f"{url.host} has no address")
        inside = [address for address in addresses if not is_public(address)]
        if inside and url.host not in self.allow_hosts:
            raise ForbiddenDestination(f"{url.host} leads to {inside[0]}, which is not a public address")
        return addresses

    async def _exchange(
        self, request: Request, url: httpx.URL, address: str, headers: dict[str, str]
    ) -> Reply:
        exchange = self._client.stream(
            request.method,
            url.copy_with(host=address),
            content=request.body,
            headers=headers,
            extensions={"sni_hostname": url.host},
        )
        async with exchange as response:
            delay_ms = retry_after_ms(response.headers.get("retry-after", ""), self.now())
            answer = Answer(response.status_code, retry_after_ms=delay_ms)
            # Unless it is wanted, the body is not read: it could be endless.
            return Reply(answer, await _limited(response) if request.read else b"")


async def _limited(response: httpx.Response) -> bytes:
    body = b""
    async for part in response.aiter_bytes():
        body += part
        if len(body) > MAX_ANSWER_BYTES:
            raise _TooLong
    return body


def retry_after_ms(text: str, now: datetime) -> int:
    """The wait that a Retry-After header asks for, in seconds or as a date; 0 if there is none that can be read."""
    if text.isdecimal():
        return int(text[:9]) * 1000
    try:
        until = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return 0
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0, int((until - now).total_seconds() * 1000))
