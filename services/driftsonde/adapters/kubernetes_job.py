"""A retraining as a Kubernetes Job: named after the decision, so that the same decision makes one Job."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from driftsonde.adapters.kubernetes import EXISTS, NOT_FOUND, Kubernetes, path_of
from driftsonde.adapters.talk import Pause, Started, Talk, WriteFile, ask
from driftsonde.adapters.training import TrainingOrder, poll_delays_ms

BACKOFF_LIMIT = 1
KEPT_S = 7 * 86_400
MAX_LABEL = 63
PREFIX = "DRIFTSONDE_"
_NOT_IN_LABELS = re.compile(r"[^A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class JobTemplate:
    """What is the team's own of the Job: `container` has at least an image; both are as Kubernetes knows them."""

    container: Mapping[str, Any]
    pod: Mapping[str, Any] = field(default_factory=dict)
    namespace: str = "default"
    deadline_s: int = 86_400

    def manifest(self, order: TrainingOrder) -> dict[str, Any]:
        """The order comes as environment variables, `DRIFTSONDE_MODEL` and so on, the columns as JSON."""
        own = list(self.container.get("env", ()))
        labels = {
            "app.kubernetes.io/managed-by": "driftsonde",
            "driftsonde/model": label_value(order.model),
            "driftsonde/decision": order.id,
        }
        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                "name": job_name(order),
                "namespace": self.namespace,
                "labels": labels,
                "annotations": {"driftsonde/reason": order.reason},
            },
            "spec": {
                "backoffLimit": BACKOFF_LIMIT,
                "activeDeadlineSeconds": self.deadline_s,
                "ttlSecondsAfterFinished": KEPT_S,
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "restartPolicy": "Never",
                        **self.pod,
                        "containers": [
                            {"name": "train", **self.container, "env": [*own, *_environment(order)]}
                        ],
                    },
                },
            },
        }


def job_name(order: TrainingOrder) -> str:
    return f"driftsonde-retrain-{order.id[:16]}"


def label_value(text: str) -> str:
    """As a label may be: letters, digits, `-_.` between them, 63 at most.

    >>> label_value("fraud/eu #1")
    'fraud-eu-1'
    """
    return _NOT_IN_LABELS.sub("-", text)[:MAX_LABEL].strip("-_.")


def _environment(order: TrainingOrder) -> list[dict[str, str]]:
    return [
        {"name": PREFIX + name.upper(), "value": value if isinstance(value, str) else json.dumps(value)}
        for name, value in order.parameters().items()
    ]


@dataclass(frozen=True, slots=True)
class KubernetesJob:
    """Creates the Job through the API server and follows it."""

    api: Kubernetes
    template: JobTemplate
    poll_ms: int = 10_000

    def train(self, order: TrainingOrder, run: str) -> Talk:
        place = path_of("batch", "v1", self.template.namespace, "jobs")
        if not run:
            run = job_name(order)
            reply = yield from ask(self.api.create(place, self.template.manifest(order)))
            if reply.status >= 400 and reply.status != EXISTS:
                return f"Kubernetes does not take the Job, {reply.excerpt()}"
            yield Started(run)
        for delay_ms in poll_delays_ms(self.poll_ms):
            reply = yield from ask(self.api.look(f"{place}/{run}"))
            if reply.status == NOT_FOUND:
                return f"the Job {run} is gone"
            conditions = (reply.object().get("status") or {}).get("conditions") or []
            holding = {entry["type"]: entry for entry in conditions if entry.get("status") == "True"}
            if "Complete" in holding:
                return ""
            if "Failed" in holding:
                failed = holding["Failed"]
                return f"the Job {run} failed: {failed.get('reason', '')} {failed.get('message', '')}".strip()
            yield Pause(delay_ms)
        raise AssertionError("there is always a next delay")


@dataclass(frozen=True, slots=True)
class JobFile:
    """Writes the Job's manifest into a directory from which something else takes it to the cluster. It is not followed."""

    directory: Path
    template: JobTemplate

    def train(self, order: TrainingOrder, run: str) -> Talk:
        content = json.dumps(self.template.manifest(order), indent=2, sort_keys=True) + "\n"
        yield WriteFile(self.directory / f"{job_name(order)}.json", content.encode())
        return ""
