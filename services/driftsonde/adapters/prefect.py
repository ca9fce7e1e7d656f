"""Prefect's REST API: a deployment is run once for a decision, whose id is the idempotency key."""

import json
import re
from dataclasses import dataclass, field
from urllib.parse import quote

from driftsonde.adapters.outbound import Request
from driftsonde.adapters.talk import Asking, Pause, Started, Talk, ask
from driftsonde.adapters.training import TrainingOrder, poll_delays_ms

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_REFUSED = frozenset({400, 404, 409, 422})
_FAILED = frozenset({"FAILED", "CRASHED", "CANCELLED"})


@dataclass(frozen=True, slots=True)
class Prefect:
    """url: of the API, with its `/api`. deployment: its id, or "flow/deployment". authorization: the header's value, ""
    for none. poll_ms: the first wait between looks at the run."""

    url: str
    deployment: str
    authorization: str = field(default="", repr=False)
    poll_ms: int = 10_000

    def train(self, order: TrainingOrder, run: str) -> Talk:
        """Start the deployment's run unless `run` names one that is under way, and follow it to its end."""
        if not run:
            deployment = yield from self._deployment_id(order.named(self.deployment))
            if deployment.startswith("!"):
                return deployment[1:]
            reply = yield from ask(self._create(deployment, order))
            if reply.status in _REFUSED:
                return f"Prefect does not run the deployment, {reply.excerpt()}"
            run = str(reply.object().get("id", ""))
            if not run:
                return f"Prefect answers without a run's id, {reply.excerpt()}"
            yield Started(run)
        return (yield from self._follow(run))

    def _deployment_id(self, name: str) -> Asking[str]:
        """The id, or what is wrong after an exclamation mark."""
        if _UUID.fullmatch(name):
            return name
        path = "/".join(quote(part, safe="") for part in name.split("/"))
        reply = yield from ask(self._get(f"/deployments/name/{path}"))
        found = reply.object().get("id") if reply.status == 200 else None
        return str(found) if found else f"!Prefect has no deployment {name!r}, {reply.excerpt()}"

    def _create(self, deployment: str, order: TrainingOrder) -> Request:
        body = {
            "name": f"driftsonde-{order.model}-{order.id[:8]}",
            "parameters": order.parameters(),
            "idempotency_key": order.id,
            "tags": ["driftsonde", order.model],
        }
        return Request(
            f"{self.url}/deployments/{deployment}/create_flow_run",
            json.dumps(body).encode(),
            headers=self._headers(),
            accept=_REFUSED,
            read=True,
        )

    def _follow(self, run: str) -> Talk:
        for delay_ms in poll_delays_ms(self.poll_ms):
            reply = yield from ask(self._get(f"/flow_runs/{quote(run, safe='')}"))
            if reply.status in _REFUSED:
                return f"Prefect does not know run {run} any more, {reply.excerpt()}"
            state = reply.object().get("state") or {}
            if state.get("type") == "COMPLETED":
                return ""
            if state.get("type") in _FAILED:
                return f"run {run} ended as {state['type']}: {state.get('message') or 'no reason given'}"
            yield Pause(delay_ms)
        raise AssertionError("there is always a next delay")

    def _get(self, path: str) -> Request:
        return Request(self.url + path, method="GET", headers=self._headers(), accept=_REFUSED, read=True)

    def _headers(self) -> dict[str, str]:
        return {"authorization": self.authorization} if self.authorization else {}
