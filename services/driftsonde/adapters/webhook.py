"""How webhooks are signed: as Standard Webhooks 1.0.0 asks."""

import base64
import binascii
import hashlib
import hmac

SECRET_PREFIX = "whsec_"
MIN_KEY_BYTES, MAX_KEY_BYTES = 24, 64


class InvalidSecret(ValueError):
    """A secret that is not in the form that Standard Webhooks gives it."""


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
