"""The embedded broker: librdkafka's own cluster, inside confluent-kafka, in a process of its own.

    python -m driftsonde.standalone.broker

Prints one line, `{"event": "ready", "service": "broker", "bootstrap_servers": ...}`, when it serves. It keeps messages in
memory only, about 5 MB of each partition, and forgets the oldest first. Topics come into being on first use with 4
partitions; the broker takes neither `create_topics` nor passwords, and listens on the loopback alone.
"""

import argparse
import json
import logging
import sys
from collections.abc import Sequence

from confluent_kafka import Producer

from driftsonde.adapters.service import stop_on_signals

PARTITIONS = 4
PARTITION_BYTES = 5 * 1024 * 1024

_START_TIMEOUT_S = 10.0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="driftsonde.standalone.broker",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.parse_args(arguments)
    stop = stop_on_signals()
    # The cluster lives as long as this client does.
    quiet = logging.getLogger("librdkafka")
    quiet.addHandler(logging.NullHandler())
    cluster = Producer({"test.mock.num.brokers": 1}, logger=quiet)
    brokers = cluster.list_topics(timeout=_START_TIMEOUT_S).brokers.values()
    servers = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
    print(json.dumps({"event": "ready", "service": "broker", "bootstrap_servers": servers}), flush=True)
    stop.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
