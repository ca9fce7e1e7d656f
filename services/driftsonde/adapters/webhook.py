"""Webhooks out: signed as Standard Webhooks 1.0.0 asks, and only to destinations that are allowed.

A host's addresses are looked up at every try, all of them are checked, and the connection goes to a checked address
with the host's name in TLS and in the Host header: a name that changes its address in between gains nothing.
"""

import asyncio
import base64
import binascii
import email.utils
import hashlib
import hmac
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx

from driftsonde.core.control.retry import Answer

SECRET_PREFIX = "whsec_"
MIN_KEY_BYTES, MAX_KEY_BYTES = 24, 64
PORTS = (443, 8443)
CONNECT_TIMEOUT_S = 5.0
TOTAL_TIMEOUT_S = 20.0

# What `is_global` lets through although it leads, or may lead, to the inside: NAT64, 6to4, Teredo.
_TUNNELS = tuple(
    ipaddress.ip_network(text) for text in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")
)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Lookup = Callable[[str, int], Awaitable[list[str]]]


class InvalidSecret(ValueError):
    """A secret that is not in the form that Standard Webhooks gives it."""


class ForbiddenDestination(ValueError):
    """A URL that deliveries may not go to; the message says why."""


def parse_secret(text: str) -> bytes:
    """The key of a `whsec_…` secret. The message of the error never holds the secret."""
    if not text.startswith(SECRET_PREFIX):
        raise InvalidSecret(f"expected {SECRET_PREFIX} and base64")
    try:
        key = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        raise InvalidSecret(f"what follows {SECRET_PREFIX} is not base64") from None
    if not MIN_KEY_BYTES <= len(key) <= MAX_KEY_BYTES:
        raise InvalidSecret(f"has {len(key)} bytes; expected {MIN_KEY_BYTES} to {MAX_KEY_BYTES}")
    return key


def signature_headers(
    keys: tuple[bytes, ...], message_id: str, timestamp_s: int, body: bytes
) -> dict[str, str]:
    """The three headers; one signature for each key, so that a secret can be changed without a gap."""
    signed = b".".join((message_id.encode(), str(timestamp_s).encode(), body))
    signatures = (base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode() for key in keys)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }


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


@dataclass(slots=True)
class Sender:
    """Posts signed messages; for use in one event loop. Redirects and the environment's proxies are not followed."""

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

    async def send(self, url_text: str, keys: tuple[bytes, ...], message_id: str, body: bytes) -> Answer:
        """One try. Never raises for what the other side or the network does."""
        try:
            async with asyncio.timeout(self.total_timeout_s):
                return await self._send(url_text, keys, message_id, body)
        except ForbiddenDestination as error:
            return Answer(0, str(error), refused=True)
        except TimeoutError:
            return Answer(0, f"no answer in {self.total_timeout_s:g} s")
        except (httpx.HTTPError, OSError) as error:
            return Answer(0, f"{type(error).__name__}: {error}")

    async def close(self) -> None:
        await self._client.aclose()

    async def _send(self, url_text: str, keys: tuple[bytes, ...], message_id: str, body: bytes) -> Answer:
        url = check_url(url_text, self.allow_hosts)
        addresses = await self._addresses(url)
        headers = signature_headers(keys, message_id, int(self.now().timestamp()), body)
        headers |= {
            "content-type": "application/json",
            "user-agent": "driftsonde",
            "host": url.netloc.decode(),
        }
        for address in addresses[:-1]:
            try:
                return await self._post(url, address, headers, body)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return await self._post(url, addresses[-1], headers, body)

    async def _addresses(self, url: httpx.URL) -> list[str]:
        addresses = await self.lookup(url.host, url.port or (443 if url.scheme == "https" else 80))
        if not addresses:
            raise OSError(f"{url.host} has no address")
        inside = [address for address in addresses if not is_public(address)]
        if inside and url.host not in self.allow_hosts:
            raise ForbiddenDestination(f"{url.host} leads to {inside[0]}, which is not a public address")
        return addresses

    async def _post(self, url: httpx.URL, address: str, headers: dict[str, str], body: bytes) -> Answer:
        request = self._client.stream(
            "POST",
            url.copy_with(host=address),
            content=body,
            headers=headers,
            extensions={"sni_hostname": url.host},
        )
        async with request as response:  # the body is not read: it could be endless
            delay_ms = retry_after_ms(response.headers.get("retry-after", ""), self.now())
            return Answer(response.status_code, retry_after_ms=delay_ms)


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
