"""Brokers that want TLS and a login, and grant what access control lists say: with a certificate authority of our own."""

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer  # type: ignore[import-untyped]
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, but not re-exported in its types
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from brokers import Broker
from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.kafka import producer_config
from driftsonde.adapters.resources import schemas_directory
from driftsonde.adapters.settings import KafkaSettings
from driftsonde.adapters.topics import PREDICTIONS, SIGNALS
from driftsonde.client import Monitor
from driftsonde.console.diagnosis import Finding, Verdict, diagnose
from faults.load import Load
from faults.world import GROUPS, SERVICES, World, world
from kafka.jars import missing
from kafka.launcher import KafkaCluster, Secured, kafka_cluster
from ports import free_port
from required import need

pytestmark = [pytest.mark.io, pytest.mark.timeout(300)]

USER, PASSWORD = "services", "let-me-in"
PAUPER = "pauper"


@dataclass(frozen=True, slots=True)
class Guarded:
    """`settings` are those of the services."""

    cluster: KafkaCluster
    settings: KafkaSettings

    @property
    def open_settings(self) -> KafkaSettings:
        """Past the guard."""
        return KafkaSettings(bootstrap_servers=self.cluster.bootstrap_servers)

    def grant(self, user: str, kind: ResourceType, name: str, *operations: AclOperation) -> None:
        admin = AdminClient(self.open_settings.librdkafka())
        bindings = [
            AclBinding(
                kind,
                name,
                ResourcePatternType.PREFIXED if name.endswith("-") else ResourcePatternType.LITERAL,
                f"User:{user}",
                "*",
                operation,
                AclPermissionType.ALLOW,
            )
            for operation in operations
        ]
        for made in admin.create_acls(bindings).values():
            made.result()


def signed_certificate(directory: Path) -> tuple[Path, Path]:
    """An authority's certificate, and a file with a key and the certificate for 127.0.0.1 that it has signed."""
    authority, key, request, certificate = (
        directory / name for name in ("ca.pem", "key.pem", "request.pem", "certificate.pem")
    )

    def openssl(*arguments: str | Path) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=directory)

    new = ("req", "-newkey", "rsa:2048", "-nodes")
    openssl(*new, "-x509", "-days", "2", "-subj", "/CN=our own", "-keyout", "ca.key", "-out", authority)
    openssl(*new, "-subj", "/CN=broker", "-keyout", key, "-out", request)
    (directory / "names").write_text("subjectAltName=IP:127.0.0.1\n", encoding="utf-8")
    signing = ("-CA", authority, "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
    openssl("x509", "-req", "-in", request, *signing, "-out", certificate)
    both = directory / "broker.pem"
    both.write_bytes(key.read_bytes() + certificate.read_bytes())
    return authority, both


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    need(missing())
    need(None if shutil.which("openssl") else "openssl makes the certificates")
    authority, certificate = signed_certificate(tmp_path_factory.mktemp("tls"))
    secured = Secured(free_port(), certificate, {USER: PASSWORD, PAUPER: PASSWORD})
    with kafka_cluster(secured=secured) as cluster:
        settings = KafkaSettings(
            bootstrap_servers=f"127.0.0.1:{secured.port}",
            security_protocol="SASL_SSL",
            sasl_username=USER,
            sasl_password=PASSWORD,
            ssl_ca=str(authority),
        )
        made = Guarded(cluster, settings)
        admin = AdminClient(made.open_settings.librdkafka())
        credentials = UserScramCredentialUpsertion(
            USER, ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4_096), PASSWORD.encode()
        )
        for altered in admin.alter_user_scram_credentials([credentials]).values():
            altered.result()
        made.grant(USER, ResourceType.TOPIC, "*", AclOperation.READ, AclOperation.WRITE)
        made.grant(USER, ResourceType.GROUP, "driftsonde-", AclOperation.READ)
        yield made


@pytest.fixture(scope="module")
def it(guarded: Guarded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The services' world, which they enter by the guarded door."""
    with world(guarded.cluster, tmp_path_factory.mktemp("guarded")) as made:
        yield made


def by(settings: KafkaSettings, mechanism: str) -> KafkaSettings:
    return replace(settings, sasl_mechanism=mechanism)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_both_clients_log_in(guarded: Guarded, mechanism: str) -> None:
    settings = by(guarded.settings, mechanism)
    topic = Broker(guarded.open_settings, 1).fresh(SIGNALS)
    producer = Producer(producer_config(settings))
    producer.produce(topic.name, b"by librdkafka")
    assert producer.flush(30) == 0

    async def exchange() -> list[bytes]:
        async with AIOKafkaProducer(**settings.aiokafka()) as sender:
            await sender.send_and_wait(topic.name, b"by aiokafka")
        async with AIOKafkaConsumer(
            topic.name, auto_offset_reset="earliest", **settings.aiokafka()
        ) as consumer:
            return [(await consumer.getone()).value for _ in range(2)]

    assert asyncio.run(exchange()) == [b"by librdkafka", b"by aiokafka"]
    assert [message.value() for message in Broker(guarded.open_settings, 1).read(topic.name, 2)] == [
        b"by librdkafka",
        b"by aiokafka",
    ]


def test_services_and_producers_work_behind_the_guard(guarded: Guarded, it: World) -> None:
    """Faust's consumers, too; each service logs in by SCRAM."""
    load = Load(windows=6, rows=200)
    it.register(load)
    past = it.settings
    it.settings = replace(past, kafka=by(guarded.settings, "SCRAM-SHA-512"))
    try:
        it.start(*(f"{service}-1" for service in SERVICES))
    finally:
        it.settings = past
    it.send(load)
    options = {key: str(value) for key, value in guarded.settings.librdkafka().items()}
    options.pop("bootstrap.servers")
    with Monitor(
        guarded.settings.bootstrap_servers, "m", "1", task="binary", strict=True, kafka_options=options
    ) as monitor:
        assert monitor.flush(30.0)
        monitor.heartbeat(load.end_ms)
        assert monitor.flush(30.0), monitor.stats
    it.wait_until_caught_up(load, timeout_s=120)
    assert it.found(load) == load.expected()
    it.stop_all()


@pytest.mark.parametrize(
    "wrong",
    [{"sasl_password": "guessed"}, {"ssl_ca": ""}, {"security_protocol": "SASL_PLAINTEXT"}],
    ids=["password", "authority", "no-tls"],
)
def test_whoever_is_not_let_in_is_told(guarded: Guarded, wrong: dict[str, str]) -> None:
    admin = AdminClient(replace(guarded.settings, **wrong).librdkafka() | {"log_level": 0})
    with pytest.raises(KafkaException) as refused:
        admin.list_topics(timeout=2)
    assert refused.value.args[0].code() in (KafkaError._TRANSPORT, KafkaError._AUTHENTICATION)


def test_the_doctor_names_what_is_not_granted(guarded: Guarded, it: World) -> None:
    assert findings(guarded.settings, it.store)["permissions"].verdict is Verdict.OK
    poor = replace(guarded.settings, sasl_username=PAUPER)
    guarded.grant(PAUPER, ResourceType.TOPIC, PREDICTIONS.name, AclOperation.READ)
    found = findings(poor, it.store)["permissions"]
    assert found.verdict is Verdict.FAILED
    assert f"--operation Write --topic {PREDICTIONS.name}" in found.what
    assert f"--operation Read --topic {PREDICTIONS.name}" not in found.what
    assert f"--operation Read --topic {SIGNALS.name}" in found.what
    for group in GROUPS:
        assert f"--operation Read --group {group}" in found.what
    assert f"--allow-principal User:{PAUPER}" in found.remedy


def findings(settings: KafkaSettings, store: Store) -> dict[str, Finding]:
    migrations = schemas_directory() / "clickhouse"
    return {
        finding.check: finding for finding in diagnose(settings, store, migrations, lambda: datetime.now(UTC))
    }
