"""Airflow's REST API: a DAG is run once for a decision, because the run's id is derived from the decision's."""

import base64
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from driftsonde.adapters.outbound import Request
from driftsonde.adapters.talk import Asking, Pause, Started, Talk, ask
from driftsonde.adapters.training import TrainingOrder, poll_delays_ms

EXISTS = 409
# Airflow 3 answers 401 to an expired token, and 403 to one of a secret that it no longer has: by default each start of
# its API server makes a new one.
_UNAUTHORIZED = frozenset({401, 403})
_REFUSED = frozenset({400, 404, 422})
_LOGIN_REFUSED = frozenset({400, 401, 403, 404, 422})
# An access token lasts for hours; one that is asked for again and again without use is a wrong one.
_MAX_LOGINS = 3


@dataclass(frozen=True, slots=True)
class Airflow:
    """url: of the web server. version: 2 for Airflow 3, 1 for Airflow 2. Either `token`, a bearer token that somebody
    else made, or a user: version 2 gets a token for it, version 1 sends it with each request."""

    url: str
    dag: str
    version: int = 2
    token: str = field(default="", repr=False)
    user: str = ""
    password: str = field(default="", repr=False)
    poll_ms: int = 10_000

    def train(self, order: TrainingOrder, run: str) -> Talk:
        """Start the DAG's run unless `run` names one that is under way, and follow it to its end."""
        dag = quote(order.named(self.dag), safe="")
        place = f"{self.url}/api/v{self.version}/dags/{dag}/dagRuns"
        headers = yield from self._login()
        if isinstance(headers, str):
            return headers
        if not run:
            run = f"driftsonde__{order.id}"
            body = json.dumps(self._run_body(run, order)).encode()
            accept = _REFUSED | _UNAUTHORIZED | {EXISTS}
            reply = yield from ask(Request(place, body, headers=headers, accept=accept, read=True))
            if reply.status in _REFUSED | _UNAUTHORIZED:
                return f"Airflow does not run the DAG, {reply.excerpt()}"
            yield Started(run)
        return (yield from self._follow(f"{place}/{quote(run, safe='')}", run, headers))

    def _follow(self, address: str, run: str, headers: dict[str, str]) -> Talk:
        logins = 0
        for delay_ms in poll_delays_ms(self.poll_ms):
            accept = _REFUSED | _UNAUTHORIZED
            reply = yield from ask(Request(address, method="GET", headers=headers, accept=accept, read=True))
            if reply.status in _UNAUTHORIZED and logins < _MAX_LOGINS:
                again = yield from self._login()
                if isinstance(again, str):
                    return again
                headers, logins = again, logins + 1
                continue
            if reply.status != 200:
                return f"Airflow does not tell of run {run} any more, {reply.excerpt()}"
            logins, state = 0, reply.object().get("state")
            if state == "success":
                return ""
            if state == "failed":
                return f"run {run} failed"
            yield Pause(delay_ms)
        raise AssertionError("there is always a next delay")

    def _login(self) -> Asking[dict[str, str] | str]:
        """The headers that say who asks, or what is wrong."""
        if self.token:
            return {"authorization": f"Bearer {self.token}"}
        if self.version == 1:
            pair = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
            return {"authorization": f"Basic {pair}"}
        body = json.dumps({"username": self.user, "password": self.password}).encode()
        reply = yield from ask(Request(f"{self.url}/auth/token", body, accept=_LOGIN_REFUSED, read=True))
        token = reply.object().get("access_token") if reply.status < 300 else None
        if not token:
            return f"Airflow gives no token to {self.user!r}, status {reply.status}"
        return {"authorization": f"Bearer {token}"}

    def _run_body(self, run: str, order: TrainingOrder) -> dict[str, Any]:
        """Version 2 knows no other fields, and wants a logical date even where there is none."""
        body: dict[str, Any] = {"dag_run_id": run, "conf": order.parameters()}
        if self.version == 2:
            body |= {"logical_date": None, "note": f"Driftsonde: {order.reason}"[:1_000]}
        return body
