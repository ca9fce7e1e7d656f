"""librdkafka's own way to try a fatal error: `rd_kafka_test_fatal_error`, called behind Python's back."""

import ctypes
from pathlib import Path

import confluent_kafka

_OUT_OF_ORDER_SEQUENCE_NUMBER = 45
_OBJECT_HEAD_BYTES = object.__basicsize__


def break_for_good(producer: confluent_kafka.Producer) -> None:
    """Raise a fatal error in a producer, as a broker's unexpected sequence number does."""
    # confluent-kafka's objects begin with the handle.
    handle = ctypes.c_void_p.from_address(id(producer) + _OBJECT_HEAD_BYTES)
    raise_fatal = _library().rd_kafka_test_fatal_error
    raise_fatal.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p)
    raise_fatal.restype = ctypes.c_int
    assert raise_fatal(handle, _OUT_OF_ORDER_SEQUENCE_NUMBER, b"a test") == 0


def _library() -> ctypes.CDLL:
    package = Path(confluent_kafka.__file__).parent
    (path,) = (package.parent / "confluent_kafka.libs").glob("librdkafka*.so*")
    return ctypes.CDLL(str(path))
