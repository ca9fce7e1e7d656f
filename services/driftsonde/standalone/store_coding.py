"""HTTP content codings of request and response bodies: gzip, deflate, lz4 and zstd, with a bound on what is unpacked."""

import gzip
import sys
import zlib
from collections.abc import Callable
from typing import Any

import lz4.frame  # type: ignore[import-untyped]

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "lz4": lz4.frame.compress,
    "zstd": zstd.compress,
    "gzip": lambda data: gzip.compress(data, compresslevel=1),
    "deflate": lambda data: zlib.compress(data, level=1),
}
# Each makes an object with decompress(data, max_length), eof and unused_data.
_DECOMPRESSOR: dict[str, Callable[[], Any]] = {
    "lz4": lz4.frame.LZ4FrameDecompressor,
    "zstd": zstd.ZstdDecompressor,
    "gzip": lambda: zlib.decompressobj(wbits=31),
    "deflate": zlib.decompressobj,
}


class BodyTooLarge(Exception):
    """A body is larger than the configured bound, as sent or unpacked."""


class BadCoding(Exception):
    """A body's coding is unknown, or the body isn't what its coding says."""


def choose_coding(accept_encoding: str) -> str | None:
    """The first coding of an Accept-Encoding header that is known here, None for identity."""
    offered = (item.partition(";")[0].strip().lower() for item in accept_encoding.split(","))
    return next((coding for coding in offered if coding in _COMPRESS), None)


def encode(data: bytes, coding: str) -> bytes:
    return _COMPRESS[coding](data)


def decode(data: bytes, coding: str, limit: int) -> bytes:
    """Unpack a body of one or more frames into at most `limit` bytes. Raises BodyTooLarge or BadCoding."""
    if coding in ("", "identity"):
        return data
    if coding not in _DECOMPRESSOR:
        raise BadCoding(f"unknown Content-Encoding {coding!r}")
    parts: list[bytes] = []
    room = limit
    while data:
        decompressor = _DECOMPRESSOR[coding]()
        try:
            part = decompressor.decompress(data, room + 1)
        except (zlib.error, zstd.ZstdError, RuntimeError) as error:
            raise BadCoding(f"the body is not {coding}: {error}") from error
        room -= len(part)
        if room < 0:
            raise BodyTooLarge
        if not decompressor.eof:
            raise BadCoding(f"the {coding} body ends too early")
        parts.append(part)
        data = decompressor.unused_data
    return b"".join(parts)
