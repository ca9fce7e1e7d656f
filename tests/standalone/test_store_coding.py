import pytest

from driftsonde.standalone.store_coding import BadCoding, BodyTooLarge, choose_coding, decode, encode

CODINGS = ["lz4", "zstd", "gzip", "deflate"]


@pytest.mark.parametrize("coding", CODINGS)
def test_frames_round_trip_and_are_bounded(coding: str) -> None:
    data = bytes(range(256)) * 1000
    packed = encode(data, coding) + encode(b"tail", coding)
    assert decode(packed, coding, len(data) + 4) == data + b"tail"
    with pytest.raises(BodyTooLarge):
        decode(packed, coding, len(data) + 3)


@pytest.mark.parametrize("coding", CODINGS)
def test_torn_or_foreign_bodies_are_refused(coding: str) -> None:
    packed = encode(b"some text" * 100, coding)
    for body in (packed[:-3], b"not packed at all, whatever the header says"):
        with pytest.raises(BadCoding):
            decode(body, coding, 10_000)


def test_codings_are_negotiated() -> None:
    assert choose_coding("br, zstd;q=0.5, gzip") == "zstd"
    assert choose_coding("br") is None
    assert choose_coding("") is None
    assert decode(b"as it is", "identity", 100) == b"as it is"
    with pytest.raises(BadCoding):
        decode(b"x", "br", 100)
