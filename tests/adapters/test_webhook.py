"""Signatures against the reference library."""

import base64
from datetime import UTC, datetime

import pytest
import standardwebhooks

from driftsonde.adapters.webhook import InvalidSecret, parse_secret, signature_headers

OLD, NEW = ("whsec_" + base64.b64encode(bytes([fill]) * 32).decode() for fill in (1, 2))


def now_s() -> int:
    return int(datetime.now(UTC).timestamp())  # the reference library compares with the clock


def headers(*secrets: str, body: bytes = b'{"a":1}', message_id: str = "m1") -> dict[str, str]:
    return signature_headers(tuple(map(parse_secret, secrets)), message_id, now_s(), body)


def test_the_reference_library_accepts_our_signature() -> None:
    assert standardwebhooks.Webhook(NEW).verify(b'{"a":1}', headers(NEW)) == {"a": 1}


def test_in_a_rotation_either_secret_verifies() -> None:
    both = headers(NEW, OLD)
    assert len(both["webhook-signature"].split()) == 2
    for secret in (OLD, NEW):
        standardwebhooks.Webhook(secret).verify(b'{"a":1}', both)


def test_anything_changed_is_noticed() -> None:
    good = headers(NEW)
    for wrong, body in (
        (headers(OLD), b'{"a":1}'),
        (good, b'{"a":2}'),
        (good | {"webhook-id": "m2"}, b'{"a":1}'),
        (good | {"webhook-timestamp": str(int(good["webhook-timestamp"]) + 1)}, b'{"a":1}'),
    ):
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            standardwebhooks.Webhook(NEW).verify(body, wrong)


@pytest.mark.parametrize("text", ["", "secret", "whsec_", "whsec_!!!!", "whsec_c2hvcnQ=", "whsk_" + "A" * 44])
def test_a_secret_in_another_form_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(InvalidSecret) as caught:
        parse_secret(text)
    assert text.removeprefix("whsec_") == "" or text not in str(caught.value)
