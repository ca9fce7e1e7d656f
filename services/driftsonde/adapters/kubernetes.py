"""Kubernetes' API, as far as it is spoken to here: create, look, patch; with the token of the service account."""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from driftsonde.adapters.outbound import Request

# Where a pod finds its API server and its own token.
API_URL = "https://kubernetes.default.svc"
TOKEN_FILE = "/var/run/secrets/kubernetes.io/serviceaccount/token"

MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
NOT_FOUND, EXISTS, INVALID = 404, 409, 422


class Unfit(ValueError):
    """An object in the cluster can't be brought to what is wanted; the message says why."""


@dataclass(frozen=True, slots=True)
class Kubernetes:
    url: str = API_URL
    token_file: str = TOKEN_FILE

    def create(self, path: str, manifest: dict[str, Any]) -> Request:
        body = json.dumps(manifest).encode()
        return self._request("POST", path, body, frozenset({400, NOT_FOUND, EXISTS, INVALID}))

    def look(self, path: str) -> Request:
        return self._request("GET", path, b"", frozenset({NOT_FOUND}))

    def patch(
        self, path: str, patch: dict[str, Any] | list[dict[str, Any]], content_type: str = MERGE_PATCH
    ) -> Request:
        body = json.dumps(patch).encode()
        refused = frozenset({400, NOT_FOUND, EXISTS, INVALID})
        return self._request("PATCH", path, body, refused, content_type)

    def _request(
        self,
        method: str,
        path: str,
        body: bytes,
        accept: frozenset[int],
        content_type: str = "application/json",
    ) -> Request:
        return Request(
            self.url + path,
            body,
            method,
            {"content-type": content_type, "accept": "application/json"},
            accept=accept,
            token_file=self.token_file,
            read=True,
        )


def path_of(group: str, version: str, namespace: str, plural: str, name: str = "", sub: str = "") -> str:
    """Where objects of a kind are, or one of them, or a subresource of it.

    >>> path_of("batch", "v1", "ml", "jobs", "train", "status")
    '/apis/batch/v1/namespaces/ml/jobs/train/status'
    """
    parts = ["apis", group, version, "namespaces", namespace, plural, name, sub]
    return "/" + "/".join(quote(part, safe="") for part in parts if part)
