"""Where deliveries may go, and what is read of the answers."""

import asyncio
import base64
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import standardwebhooks

from driftsonde.adapters.outbound import (
    MAX_ANSWER_BYTES,
    ForbiddenDestination,
    Reply,
    Request,
    Sender,
    check_url,
    is_public,
    retry_after_ms,
)
from driftsonde.adapters.webhook import parse_secret
from driftsonde.core.control.retry import Answer

SECRET = "whsec_" + base64.b64encode(bytes([2]) * 32).decode()
NO_HOSTS = frozenset[str]()


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://example.com/", "plain http"),
        ("ftp://example.com/", "expected an https URL"),
        ("https:///path", "expected an https URL"),
        ("/path", "expected an https URL"),
        ("https://user:pass@example.com/", "user name"),
        ("https://example.com:22/", "port 22"),
        ("https://exämple.com/", "ASCII"),
        ("https://example.com:99999999/", "no port"),
        ("https://[::1/", "not a URL"),
    ],
)
def test_a_url_that_is_not_allowed(url: str, problem: str) -> None:
    with pytest.raises(ForbiddenDestination, match=problem):
        check_url(url, NO_HOSTS)


def test_an_allowed_host_may_be_plain_and_anywhere() -> None:
    assert check_url("http://Pager.internal:9000/x", frozenset({"pager.internal"})).port == 9000
    with pytest.raises(ForbiddenDestination):
        check_url("http://other.internal:9000/x", frozenset({"pager.internal"}))
    with pytest.raises(ForbiddenDestination):
        check_url("http://a@pager.internal/x", frozenset({"pager.internal"}))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.9.9.9",
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "198.18.0.1",
        "192.0.2.1",
        "224.0.1.1",
        "239.1.1.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd12:3456::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b:1::a00:1",
        "2002:7f00:1::",
        "2001:0:53aa:64c:0:0:0:1",
        "2001:db8::1",
    ],
)
def test_addresses_of_the_inside(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["93.184.215.14", "8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8"])
def test_addresses_of_the_open_internet(address: str) -> None:
    assert is_public(address)


def _now() -> datetime:
    return datetime.now(UTC)  # the reference library compares with the clock


def send(
    url: str, addresses: list[str], allow: frozenset[str] = NO_HOSTS
) -> tuple[Answer, list[httpx.Request]]:
    """One try through a transport that answers 200 and notes the requests, with this answer of the name service."""
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        if request.url.host == "203.0.114.9":
            raise httpx.ConnectError("refused")
        return httpx.Response(200)

    async def lookup(_host: str, _port: int) -> list[str]:
        return addresses

    async def run() -> Answer:
        sender = Sender(allow, _now, lookup, httpx.MockTransport(answer))
        try:
            reply = await sender.send(Request(url, b"{}", keys=(parse_secret(SECRET),), id="m1"))
            return reply.answer
        finally:
            await sender.close()

    return asyncio.run(run()), requests


def test_the_connection_goes_to_the_checked_address_under_the_hosts_name() -> None:
    answer, (request,) = send("https://hooks.example.com:8443/a?b=c", ["93.184.215.14"])
    assert answer == Answer(200)
    assert str(request.url) == "https://93.184.215.14:8443/a?b=c"
    assert request.headers["host"] == "hooks.example.com:8443"
    assert request.extensions["sni_hostname"] == "hooks.example.com"
    standardwebhooks.Webhook(SECRET).verify(request.content, dict(request.headers))


def test_a_version_6_address_is_a_host_too() -> None:
    _, (request,) = send("https://hooks.example.com/", ["2606:4700:4700::1111"])
    assert str(request.url) == "https://[2606:4700:4700::1111]/"
    assert request.headers["host"] == "hooks.example.com"


@pytest.mark.parametrize("addresses", [["10.0.0.5"], ["93.184.215.14", "10.0.0.5"], ["::ffff:127.0.0.1"]])
def test_a_name_that_leads_inside_is_refused_before_any_connection(addresses: list[str]) -> None:
    answer, requests = send("https://hooks.example.com/", addresses)
    assert answer.refused
    assert "not a public address" in answer.error
    assert requests == []


def test_an_allowed_host_may_lead_inside() -> None:
    answer, _ = send("http://pager.internal/", ["10.0.0.5"], frozenset({"pager.internal"}))
    assert answer == Answer(200)


def test_the_next_address_is_tried_where_one_does_not_listen() -> None:
    answer, requests = send("https://hooks.example.com/", ["203.0.114.9", "93.184.215.14"])
    assert answer == Answer(200)
    assert [request.url.host for request in requests] == ["203.0.114.9", "93.184.215.14"]


def test_a_host_without_an_address_is_an_error_to_retry() -> None:
    answer, requests = send("https://hooks.example.com/", [])
    assert (answer.status, answer.refused, requests) == (0, False, [])


@pytest.mark.parametrize(
    ("text", "expected_ms"),
    [
        ("", 0),
        ("120", 120_000),
        ("soon", 0),
        ("-5", 0),
        ("Wed, 21 Oct 2026 07:28:30 GMT", 30_000),
        ("Wed, 21 Oct 2020 07:28:00 GMT", 0),
    ],
)
def test_retry_after(text: str, expected_ms: int) -> None:
    assert retry_after_ms(text, datetime(2026, 10, 21, 7, 28, tzinfo=UTC)) == expected_ms


def exchange(request: Request, response: httpx.Response) -> tuple[Reply, httpx.Request]:
    """One try, answered so."""
    requests: list[httpx.Request] = []

    def answer(asked: httpx.Request) -> httpx.Response:
        requests.append(asked)
        return response

    async def lookup(_host: str, _port: int) -> list[str]:
        return ["93.184.215.14"]

    async def run() -> Reply:
        sender = Sender(NO_HOSTS, _now, lookup, httpx.MockTransport(answer))
        try:
            return await sender.send(request)
        finally:
            await sender.close()

    return asyncio.run(run()), requests[0]


def test_a_body_is_read_where_it_is_wanted_and_only_there() -> None:
    url = "https://api.example.com/v1"
    reply, asked = exchange(
        Request(url, method="GET", headers={"authorization": "Bearer t"}, read=True),
        httpx.Response(200, json={"id": 7}),
    )
    assert reply.json() == {"id": 7}
    assert (asked.method, asked.headers["authorization"]) == ("GET", "Bearer t")
    reply, _ = exchange(Request(url), httpx.Response(200, json={"id": 7}))
    assert (reply.status, reply.body) == (200, b"")


def test_an_endless_answer_is_a_failed_try() -> None:
    reply, _ = exchange(
        Request("https://api.example.com/", read=True),
        httpx.Response(200, content=b"x" * (MAX_ANSWER_BYTES + 1)),
    )
    assert (reply.status, reply.answer.error) == (0, f"the answer is longer than {MAX_ANSWER_BYTES} bytes")


def test_a_redirect_is_an_answer_and_not_followed() -> None:
    reply, asked = exchange(
        Request("https://api.example.com/"), httpx.Response(307, headers={"location": "https://127.0.0.1/"})
    )
    assert reply.status == 307
    assert asked.url.host == "93.184.215.14"


def test_a_token_file_is_read_at_every_try(tmp_path: Path) -> None:
    token = tmp_path / "token"
    for text in ("one", "two"):
        token.write_text(text + "\n")
        _, asked = exchange(Request("https://api.example.com/", token_file=str(token)), httpx.Response(200))
        assert asked.headers["authorization"] == f"Bearer {text}"


def test_a_token_file_that_is_missing_is_an_error_to_retry(tmp_path: Path) -> None:
    async def lookup(_host: str, _port: int) -> list[str]:
        return ["93.184.215.14"]

    async def run() -> Reply:
        sender = Sender(NO_HOSTS, lookup=lookup)
        try:
            missing = str(tmp_path / "none")
            return await sender.send(Request("https://api.example.com/", token_file=missing))
        finally:
            await sender.close()

    reply = asyncio.run(run())
    assert (reply.status, reply.answer.refused) == (0, False)
    assert "FileNotFoundError" in reply.answer.error


def test_a_request_shows_no_secret() -> None:
    request = Request("https://hooks.example.com/T0/secret", b"secret", headers={"authorization": "secret"})
    assert "secret" not in repr(request)
