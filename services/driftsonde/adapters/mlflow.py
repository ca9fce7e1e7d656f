"""MLflow's REST API, as far as it is spoken to here: the registry's versions, their runs, and aliases."""

import json
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from driftsonde.adapters.outbound import Reply, Request
from driftsonde.adapters.serving_split import challenger, champion
from driftsonde.adapters.talk import Talk, ask
from driftsonde.core.control.traffic import Traffic

CHAMPION, CHALLENGER = "champion", "challenger"
NOT_FOUND = 404
_REFUSED = frozenset({400, NOT_FOUND})
_API = "/api/2.0/mlflow"


@dataclass(frozen=True, slots=True)
class MlflowServer:
    """url: without a path of the API. authorization: the header's value, "" for none."""

    url: str
    authorization: str = field(default="", repr=False)

    def get(self, path: str, **query: str) -> Request:
        return self._request("GET", f"{path}?{urlencode(query)}", b"")

    def artifact(self, path: str) -> Request:
        """A file that the server hands out itself; `path` is below its store, quoted."""
        request = self._request("GET", "", b"")
        return replace(request, url=f"{self.url}/api/2.0/mlflow-artifacts/artifacts/{path}")

    def post(self, path: str, body: dict[str, Any]) -> Request:
        return self._request("POST", path, json.dumps(body).encode())

    def delete(self, path: str, body: dict[str, Any]) -> Request:
        return self._request("DELETE", path, json.dumps(body).encode())

    def _request(self, method: str, path: str, body: bytes) -> Request:
        headers = {"authorization": self.authorization} if self.authorization else {}
        return Request(f"{self.url}{_API}/{path}", body, method, headers, accept=_REFUSED, read=True)


def is_refused(reply: Reply) -> bool:
    return reply.status in _REFUSED


@dataclass(frozen=True, slots=True)
class MlflowAliases:
    """Who serves, as aliases of a registered model: `champion`, and `challenger` for a canary or shadow.

    model: the registered model's name, in which {model} is filled in.
    """

    server: MlflowServer
    model: str

    def apply(self, traffic: Traffic) -> Talk:
        name = self.model.replace("{model}", traffic.model)
        problem = yield from self._set(name, CHAMPION, champion(traffic.split))
        if problem:
            return problem
        coming = challenger(traffic.split)
        if coming:
            return (yield from self._set(name, CHALLENGER, coming))
        # Taking away an alias that is not there is nothing wrong to MLflow.
        body = {"name": name, "alias": CHALLENGER}
        reply = yield from ask(self.server.delete("registered-models/alias", body))
        return f"MLflow does not take the alias away, {reply.excerpt()}" if is_refused(reply) else ""

    def _set(self, name: str, alias: str, version: str) -> Talk:
        body = {"name": name, "alias": alias, "version": version}
        reply = yield from ask(self.server.post("registered-models/alias", body))
        return f"MLflow does not set the alias {alias}, {reply.excerpt()}" if is_refused(reply) else ""
