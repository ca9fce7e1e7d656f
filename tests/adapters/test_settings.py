import ssl

import pytest

from driftsonde.adapters.settings import (
    ClickHouseSettings,
    InvalidSetting,
    KafkaSettings,
    Settings,
    environment,
    read_settings,
    settings_table,
    unknown_variables,
    variables,
)


def test_an_empty_environment_gives_the_defaults() -> None:
    assert read_settings({}) == Settings()


def test_values_are_typed() -> None:
    settings = read_settings(
        {
            "DRIFTSONDE_CLICKHOUSE_PORT": "9000",
            "DRIFTSONDE_CLICKHOUSE_SECURE": "true",
            "DRIFTSONDE_SKETCHER_IDLE_TIMEOUT_S": "1.5",
            "DRIFTSONDE_KAFKA_BOOTSTRAP_SERVERS": "a:1,b:2",
        }
    )
    assert settings.clickhouse.port == 9000
    assert settings.clickhouse.secure is True
    assert settings.sketcher.idle_timeout_s == 1.5
    assert settings.kafka.bootstrap_servers == "a:1,b:2"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("DRIFTSONDE_CLICKHOUSE_PORT", "http", "a whole number"),
        ("DRIFTSONDE_CLICKHOUSE_PORT", "70000", "at most 65535"),
        ("DRIFTSONDE_SKETCHER_CHUNK_MESSAGES", "0", "at least 1"),
        ("DRIFTSONDE_SKETCHER_CHUNK_MESSAGES", "1.5", "a whole number"),
        ("DRIFTSONDE_SKETCHER_IDLE_TIMEOUT_S", "nan", "a number"),
        ("DRIFTSONDE_SKETCHER_IDLE_TIMEOUT_S", "inf", "a number"),
        ("DRIFTSONDE_CLICKHOUSE_SECURE", "maybe", "true or false"),
        ("DRIFTSONDE_KAFKA_SECURITY_PROTOCOL", "TLS", "one of PLAINTEXT, SSL"),
    ],
)
def test_a_wrong_value_is_one_error_that_names_the_variable(name: str, value: str, expected: str) -> None:
    with pytest.raises(InvalidSetting) as error:
        read_settings({name: value})
    assert str(error.value).startswith(f"{name}: expected")
    assert expected in str(error.value)
    assert repr(value) in str(error.value)


def test_all_wrong_values_are_told_at_once() -> None:
    with pytest.raises(InvalidSetting) as error:
        read_settings({"DRIFTSONDE_HTTP_PORT": "x", "DRIFTSONDE_CLICKHOUSE_PORT": "y"})
    assert len(str(error.value).splitlines()) == 2


def test_a_typing_error_in_a_name_is_noticed() -> None:
    environ = {"DRIFTSONDE_HTTP_PROT": "1", "DRIFTSONDE_HTTP_PORT": "1", "HOME": "/"}
    assert unknown_variables(environ) == ("DRIFTSONDE_HTTP_PROT",)


def test_a_child_process_gets_the_same_settings() -> None:
    settings = Settings(
        kafka=KafkaSettings(bootstrap_servers="a:1", sasl_password="x"),
        clickhouse=ClickHouseSettings(secure=True),
    )
    assert read_settings(environment(settings)) == settings
    assert environment(Settings()) == {}


def test_secrets_are_not_shown() -> None:
    settings = Settings(
        kafka=KafkaSettings(sasl_password="hunter2"), clickhouse=ClickHouseSettings(password="hunter2")
    )
    assert "hunter2" not in repr(settings)


def test_the_table_lists_every_variable_once() -> None:
    table = settings_table()
    names = [variable.name for variable in variables()]
    assert len(set(names)) == len(names)
    assert all(table.count(f"`{name}`") == 1 for name in names)
    assert all(variable.meaning for variable in variables())


def test_plain_kafka() -> None:
    settings = KafkaSettings(bootstrap_servers="a:1,b:2")
    assert settings.librdkafka() == {"bootstrap.servers": "a:1,b:2", "security.protocol": "PLAINTEXT"}
    assert settings.aiokafka() == {"bootstrap_servers": ["a:1", "b:2"], "security_protocol": "PLAINTEXT"}
    assert settings.faust_brokers() == ["kafka://a:1", "kafka://b:2"]


def test_kafka_with_a_password_over_tls() -> None:
    settings = KafkaSettings(
        bootstrap_servers="a:1",
        security_protocol="SASL_SSL",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_username="me",
        sasl_password="secret",
    )
    assert settings.librdkafka() == {
        "bootstrap.servers": "a:1",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "me",
        "sasl.password": "secret",
    }
    config = settings.aiokafka()
    assert isinstance(config.pop("ssl_context"), ssl.SSLContext)
    assert config == {
        "bootstrap_servers": ["a:1"],
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "me",
        "sasl_plain_password": "secret",
    }


def test_authorities_that_cannot_be_read_name_the_variable() -> None:
    settings = KafkaSettings(security_protocol="SSL", ssl_ca="/nowhere/ca.pem")
    assert settings.librdkafka()["ssl.ca.location"] == "/nowhere/ca.pem"
    with pytest.raises(InvalidSetting, match="DRIFTSONDE_KAFKA_SSL_CA"):
        settings.ssl_context()
