"""Apache Kafka on this machine for the length of a `with` block: KRaft mode, loopback, free ports, one Java process a node."""

import logging
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from kafka.jars import class_path

_CLUSTER_ID = "ZHJpZnRzb25kZS10ZXN0cw"  # any 16 bytes in base64
_JAVA = (
    "java",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",  # quick to start, and fast enough
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
)
_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 20.0
_TAIL_CHARS = 3_000


class KafkaFailed(RuntimeError):
    """A node did not start; the message ends with what it logged last."""


@dataclass(frozen=True, slots=True)
class Secured:
    """A second listener, at `port`: TLS with the key and certificate of a PEM file, and users who log in by PLAIN, or by
    SCRAM where they were given such credentials. They may do what access control lists grant them; whoever comes without
    TLS may do everything."""

    port: int
    certificate: Path
    users: Mapping[str, str]

    def properties(self) -> dict[str, object]:
        """What is added to the node's, but for the listener itself."""
        prefix, package = "listener.name.secured", "org.apache.kafka.common.security"
        known = " ".join(f'user_{name}="{password}"' for name, password in self.users.items())
        return {
            f"{prefix}.ssl.keystore.type": "PEM",
            f"{prefix}.ssl.keystore.location": self.certificate,
            f"{prefix}.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
            f"{prefix}.plain.sasl.jaas.config": f"{package}.plain.PlainLoginModule required {known};",
            f"{prefix}.scram-sha-512.sasl.jaas.config": f"{package}.scram.ScramLoginModule required;",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
        }


@dataclass(slots=True)
class KafkaCluster:
    """Nodes are numbered from 1; each is broker and controller. A node that starts again has its data and its ports."""

    directory: Path
    ports: Mapping[int, tuple[int, int]]
    partitions: int
    secured: "Secured | None" = None
    _processes: dict[int, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    @property
    def bootstrap_servers(self) -> str:
        return ",".join(f"127.0.0.1:{broker}" for broker, _ in self.ports.values())

    def start(self, node: int) -> None:
        """Start a node that isn't running; `wait_until_up` says when it serves."""
        home = self._home(node)
        properties = home / "server.properties"
        if not properties.exists():
            home.mkdir(parents=True)
            properties.write_text(self._properties(node), encoding="utf-8")
            self._format(properties)
        with self.log_of(node).open("ab") as log:
            self._processes[node] = subprocess.Popen(
                [*_JAVA, "-cp", class_path(), "kafka.Kafka", str(properties)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def stop(self, node: int) -> None:
        """SIGTERM, and SIGKILL where that doesn't help in time."""
        process = self._processes.pop(node)
        process.terminate()
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill(self, node: int) -> None:
        """SIGKILL."""
        process = self._processes.pop(node)
        process.kill()
        process.wait()

    def wait_until_up(self, timeout_s: float = _START_TIMEOUT_S) -> None:
        """Return once every node that was started serves, and knows of the others. Raises `KafkaFailed`."""
        deadline_s = time.monotonic() + timeout_s
        for node, process in self._processes.items():
            # Each asked by itself: the others name a killed node as present for a while.
            server = f"127.0.0.1:{self.ports[node][0]}"
            admin = AdminClient({"bootstrap.servers": server}, logger=_silent())
            while not self._serves(admin):
                if process.poll() is not None:
                    raise KafkaFailed(f"node {node} ended with status {process.returncode}{self._tail(node)}")
                if time.monotonic() > deadline_s:
                    raise KafkaFailed(f"node {node} did not serve within {timeout_s:g} s{self._tail(node)}")
                time.sleep(0.1)

    def stop_all(self) -> None:
        """All nodes at once: the last ones would wait for a majority that is gone."""
        for process in self._processes.values():
            process.terminate()
        for node in list(self._processes):
            self.stop(node)

    def log_of(self, node: int) -> Path:
        return self._home(node) / "log"

    def _serves(self, admin: AdminClient) -> bool:
        try:
            return len(admin.list_topics(timeout=1.0).brokers) >= len(self._processes)
        except KafkaException:
            return False

    def _home(self, node: int) -> Path:
        return self.directory / f"node-{node}"

    def _tail(self, node: int) -> str:
        return f"; its log ends:\n{self.log_of(node).read_text(errors='replace')[-_TAIL_CHARS:]}"

    def _format(self, properties: Path) -> None:
        command = [
            "kafka.tools.StorageTool",
            "format",
            "--cluster-id",
            _CLUSTER_ID,
            "--config",
            str(properties),
        ]
        done = subprocess.run(
            [*_JAVA, "-cp", class_path(), *command], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise KafkaFailed(f"the storage could not be formatted:\n{done.stdout}{done.stderr}")

    def _properties(self, node: int) -> str:
        broker, controller = self.ports[node]
        voters = ",".join(f"{number}@127.0.0.1:{port}" for number, (_, port) in self.ports.items())
        copies = min(3, len(self.ports))
        more = f",SECURED://127.0.0.1:{self.secured.port}" if self.secured else ""
        settings: dict[str, object] = {
            "process.roles": "broker,controller",
            "node.id": node,
            "controller.quorum.voters": voters,
            "listeners": f"PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}{more}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{broker}{more}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURED:SASL_SSL",
            "log.dirs": self._home(node) / "data",
            "num.partitions": self.partitions,
            "auto.create.topics.enable": "false",
            "default.replication.factor": copies,
            "min.insync.replicas": max(1, copies - 1),
            "offsets.topic.replication.factor": copies,
            "offsets.topic.num.partitions": 3,
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": max(1, copies - 1),
            "share.coordinator.state.topic.replication.factor": copies,
            "share.coordinator.state.topic.min.isr": max(1, copies - 1),
            # A killed node may come back once it is missed; by default that takes nine seconds.
            "broker.session.timeout.ms": 2_000,
            "broker.heartbeat.interval.ms": 500,
            "group.initial.rebalance.delay.ms": 0,
            **(self.secured.properties() if self.secured else {}),
        }
        return "".join(f"{name}={value}\n" for name, value in settings.items())


@contextmanager
def kafka_cluster(
    nodes: int = 1, partitions: int = 12, secured: Secured | None = None
) -> Iterator[KafkaCluster]:
    """A cluster that serves; `partitions` are those of a topic that is made without saying. `secured` is for a single
    node. Raises `KafkaFailed`."""
    with tempfile.TemporaryDirectory(prefix="kafka-") as directory:
        ports = _free_ports(2 * nodes)
        pairs = {node: (ports[2 * node - 2], ports[2 * node - 1]) for node in range(1, nodes + 1)}
        cluster = KafkaCluster(Path(directory), pairs, partitions, secured)
        with ExitStack() as stack:
            stack.callback(cluster.stop_all)
            for node in pairs:
                cluster.start(node)
            cluster.wait_until_up()
            yield cluster


def _free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago; held all at once, so that they differ."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _silent() -> logging.Logger:
    logger = logging.getLogger("kafka.launcher.admin")
    logger.disabled = True
    return logger
