"""The receiver of the demo's webhooks believes what is signed, and nothing else."""

import time
from datetime import UTC, datetime
from http import HTTPStatus

import httpx
import pytest
import standardwebhooks

from driftsonde.standalone.demo.receiver import (
    TOLERANCE_S,
    BadSignature,
    Receiver,
    new_secret,
    verify,
)

BODY = b'{"type":"incident.opened","data":{}}'


def signed(secret: str, body: bytes = BODY, at_s: float | None = None) -> dict[str, str]:
    """Headers as the reference library makes them."""
    at = datetime.fromtimestamp(time.time() if at_s is None else at_s, UTC)
    signature = standardwebhooks.Webhook(secret).sign("msg_1", at, body.decode())
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": signature,
    }


def test_the_receiver_believes_the_reference_library() -> None:
    secret = new_secret()
    assert verify(secret, signed(secret), BODY, time.time()) == "msg_1"
    rotated = signed(secret) | {"webhook-signature": f"v1,AAAA {signed(secret)['webhook-signature']}"}
    assert verify(secret, rotated, BODY, time.time()) == "msg_1"


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": "msg_2"},
        {"webhook-id": ""},
        {"webhook-timestamp": "1001"},
        {"webhook-timestamp": "soon"},
        {"webhook-signature": ""},
        {"webhook-signature": "v1,AAAA"},
        {"webhook-signature": "v1,é"},
    ],
)
def test_a_changed_header_is_refused(change: dict[str, str]) -> None:
    secret = new_secret()
    with pytest.raises(BadSignature):
        verify(secret, signed(secret, at_s=1_000) | change, BODY, 1_000)


def test_another_body_another_secret_and_another_time_are_refused() -> None:
    secret, now_s = new_secret(), time.time()
    with pytest.raises(BadSignature, match="no signature"):
        verify(secret, signed(secret), BODY + b" ", now_s)
    with pytest.raises(BadSignature, match="no signature"):
        verify(new_secret(), signed(secret), BODY, now_s)
    for off_s in (TOLERANCE_S + 2, -TOLERANCE_S - 2):
        with pytest.raises(BadSignature, match="timestamp"):
            verify(secret, signed(secret, at_s=now_s + off_s), BODY, now_s)


@pytest.mark.io
def test_the_receiver_keeps_what_is_genuine_once_and_counts_the_rest() -> None:
    secret = new_secret()
    with Receiver({"oncall": secret}) as receiver:
        url, headers = receiver.url("oncall"), signed(secret)
        answers = [
            httpx.post(url, content=BODY, headers=headers, trust_env=False).status_code,
            httpx.post(url, content=BODY, headers=headers, trust_env=False).status_code,
            httpx.post(url, content=BODY + b" ", headers=headers, trust_env=False).status_code,
            httpx.post(receiver.url("other"), content=BODY, headers=headers, trust_env=False).status_code,
        ]
    assert answers == [HTTPStatus.NO_CONTENT] * 2 + [HTTPStatus.UNAUTHORIZED] * 2
    assert [(one.endpoint, one.id, one.type) for one in receiver.deliveries] == [
        ("oncall", "msg_1", "incident.opened")
    ]
    assert receiver.refused == 2
