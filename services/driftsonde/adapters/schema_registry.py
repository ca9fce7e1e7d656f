"""The Confluent Schema Registry (or one that speaks its HTTP interface), behind the codec's `SchemaRegistry`."""

import importlib
from collections.abc import Mapping
from typing import Any

from driftsonde.adapters.avro import RegistryUnavailable, UnknownSchema

_NOT_FOUND = 404
# By default the client waits for an answer without end, and sleeps between attempts; whoever asks here tries again.
_DEFAULTS = {"timeout": 5, "max.retries": 0}


class ConfluentRegistry:
    """Ids and schemas are cached by the client: one request for each of them in a process."""

    def __init__(self, url: str, options: Mapping[str, Any] | None = None) -> None:
        """`url` may hold a user and a password; a url of `mock://` is in memory. `options` go to Confluent's client."""
        # Loaded where there is a registry: it takes a quarter of a second, a third of what starting a service takes.
        self._api = importlib.import_module("confluent_kafka.schema_registry")
        self._client = self._api.SchemaRegistryClient.new_client({"url": url, **_DEFAULTS, **(options or {})})

    def register(self, subject: str, schema: str) -> int:
        try:
            return int(self._client.register_schema(subject, self._api.Schema(schema, "AVRO")))
        except Exception as error:
            raise _unavailable(error) from error

    def schema(self, schema_id: int) -> str:
        try:
            text = self._client.get_schema(schema_id).schema_str
        except Exception as error:
            if isinstance(error, self._api.SchemaRegistryError) and error.http_status_code == _NOT_FOUND:
                raise UnknownSchema(
                    f"the registry has no schema of that id ({error.error_message})"
                ) from error
            raise _unavailable(error) from error
        if text is None:
            raise UnknownSchema("the registry has an empty schema of that id")
        return str(text)


def _unavailable(error: Exception) -> RegistryUnavailable:
    # The client lets through errors of its HTTP library, which is a private choice of each of its releases.
    return RegistryUnavailable(f"schema registry: {type(error).__name__}: {error}")
