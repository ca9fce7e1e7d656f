"""A small Kubernetes API server for custom objects: reads and patches them, as strict about fields as their schemas."""

import copy
from dataclasses import dataclass, field
from typing import Any

from fake_api import Answer, Call
from object_schemas import problems_of, schema


@dataclass(slots=True)
class ClusterApi:
    """objects: by path. kind: the name of their schema."""

    kind: str
    objects: dict[str, dict[str, Any]]
    patches: list[tuple[str, Any]] = field(default_factory=list)
    change_before_patch: int = 0

    def answer(self, call: Call) -> Answer:
        path = call.path.removesuffix("/status")
        if path not in self.objects:
            return Answer(404, {"kind": "Status", "reason": "NotFound"})
        if call.method == "GET":
            return Answer(200, self.objects[path])
        self.patches.append((call.path, call.body))
        if self.change_before_patch:
            self.change_before_patch -= 1
            self.bump(path)
        before = self.objects[path]
        if call.headers["content-type"] == "application/merge-patch+json":
            return self.merge(path, before, call.body, status=call.path.endswith("/status"))
        if call.headers["content-type"] == "application/json-patch+json":
            return self.operate(path, before, call.body)
        return Answer(415, {"kind": "Status", "reason": "UnsupportedMediaType"})

    def bump(self, path: str) -> None:
        metadata = self.objects[path].setdefault("metadata", {})
        metadata["resourceVersion"] = str(int(metadata.get("resourceVersion", "0")) + 1)

    def merge(self, path: str, before: dict[str, Any], patch: Any, *, status: bool) -> Answer:
        wrong = problems_of(schema(self.kind), patch, patch=True)
        part = "status" if status else "spec"
        if wrong or set(patch) != {
            part
        }:  # the server leaves out the other part without a word; here it is a mistake
            return Answer(422, {"kind": "Status", "message": "; ".join(wrong) or f"expected {part}"})
        self.objects[path] = merged(before, patch)
        self.bump(path)
        return Answer(200, self.objects[path])

    def operate(self, path: str, before: dict[str, Any], operations: Any) -> Answer:
        after = copy.deepcopy(before)
        for operation in operations:
            *way, last = operation["path"].removeprefix("/").split("/")
            place: Any = after
            for name in way:
                place = place[int(name)] if isinstance(place, list) else place[name]
            match operation["op"]:
                case "test" if place.get(last) != operation["value"]:
                    return Answer(422, {"kind": "Status", "reason": "Invalid", "message": "test failed"})
                case "add":
                    place[last] = operation["value"]
                case "remove":
                    del place[last]
        own = {name: after[name] for name in ("spec", "status") if name in after}
        wrong = problems_of(schema(self.kind), own)
        if wrong:
            return Answer(422, {"kind": "Status", "message": "; ".join(wrong)})
        self.objects[path] = after
        self.bump(path)
        return Answer(200, after)


def merged(target: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result
