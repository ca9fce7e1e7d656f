"""The audit log: the decisions of a model are a chain in which each one has the hash of the one before.

hash = SHA-256 of the JSON array of the decision's fields in the order of `FIELDS` (the detail as its JSON text), in
UTF-8. Whoever changes, removes or adds a link in the middle breaks every later one. What a chain alone can't show is
that its end was cut off: compare the head with the archive's, or with one that was noted elsewhere.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from driftsonde.core.control.canonical import detail_to_json
from driftsonde.core.control.decisions import Decision

FIELDS = (
    *("id", "step", "kind", "model", "version", "incident", "signal", "mode", "actor", "policy"),
    *("timestamp_ms", "detail", "sequence", "previous"),
)


@dataclass(frozen=True, slots=True)
class Head:
    """The newest link: how many there are, and its hash."""

    sequence: int = 0
    hash: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """A decision as it was stored, with the values of `FIELDS` as text and numbers: a step or a kind that this release
    does not know is a link like any other."""

    values: tuple[str | int, ...]
    hash: str

    def get(self, name: str) -> str | int:
        return self.values[FIELDS.index(name)]

    @property
    def sequence(self) -> int:
        return int(self.get("sequence"))

    @property
    def name(self) -> str:
        return f"link {self.sequence} (decision {self.get('id')}, {self.get('step')})"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a model's chain is found to be. `problem` is "" where it holds; `unchained` counts the decisions from before
    there was a chain."""

    model: str
    head: Head
    unchained: int
    problem: str


def link_of(record: Mapping[str, Any]) -> Link:
    """From the fields of the stored record. A record of an earlier release has no place in the chain."""
    values = {"sequence": 0, "previous": "", **record}
    return Link(tuple(values[name] for name in FIELDS), record.get("hash", ""))


def hash_of(values: tuple[str | int, ...]) -> str:
    text = json.dumps(values, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def sealed(decision: Decision, head: Head) -> Decision:
    """The decision as the next link after `head`."""
    linked = replace(decision, sequence=head.sequence + 1, previous=head.hash, hash="")
    return replace(linked, hash=hash_of(_values(linked)))


def _values(decision: Decision) -> tuple[str | int, ...]:
    mode = "" if decision.mode is None else decision.mode.value
    texts = {
        "step": decision.step.value,
        "kind": decision.kind.value,
        "mode": mode,
        "detail": detail_to_json(decision.detail),
    }
    return tuple(texts[name] if name in texts else getattr(decision, name) for name in FIELDS)


def moved(head: Head, decision: Decision) -> Head:
    """The head after a decision was stored. One that is stored twice, or by a writer who knew less, moves nothing."""
    return Head(decision.sequence, decision.hash) if decision.sequence > head.sequence else head


def verify(links: Iterable[Link]) -> list[Finding]:
    """What each model's chain is found to be, in the order of their names. The links may come in any order, and twice."""
    by_model: dict[str, set[Link]] = defaultdict(set)
    for link in links:
        by_model[str(link.get("model"))].add(link)
    return [_verified(model, by_model[model]) for model in sorted(by_model)]


def _verified(model: str, links: set[Link]) -> Finding:
    chain = sorted((link for link in links if link.sequence), key=lambda link: (link.sequence, link.hash))
    unchained = [link for link in links if not link.sequence]
    problem = next(_problems(chain, unchained), "")
    head = Head(chain[-1].sequence, chain[-1].hash) if chain else Head()
    return Finding(model, head, len(unchained), problem)


def _problems(chain: list[Link], unchained: list[Link]) -> Iterator[str]:
    head = Head()
    for link in chain:
        if link.sequence == head.sequence:
            yield f"{link.name}: another one has this place: two writers at once, or an addition"
        if link.sequence > head.sequence + 1:
            yield f"link {head.sequence + 1} is missing, before {link.name}"
        if hash_of(link.values) != link.hash:
            yield f"{link.name}: its content is not what was hashed: it was changed"
        if link.get("previous") != head.hash:
            yield f"{link.name}: it does not continue the link before it"
        head = Head(link.sequence, link.hash)
    for link in unchained:
        if chain and int(link.get("timestamp_ms")) > int(chain[0].get("timestamp_ms")):
            yield f"decision {link.get('id')}, {link.get('step')}: outside the chain, and newer than its beginning"
