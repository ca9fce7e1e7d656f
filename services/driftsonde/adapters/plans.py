"""The plans of all registered versions, derived from the topic `models` and kept up to date."""

from dataclasses import dataclass, field
from functools import partial

from driftsonde.adapters.avro import Codec
from driftsonde.adapters.kafka import CompactedReader
from driftsonde.adapters.specs import fingerprint
from driftsonde.adapters.wire_models import Catalogue, problem_of, read_catalogue
from driftsonde.core.plan import Plan, plan_for


@dataclass(slots=True)
class PlanBook:
    """Looks plans up by (model, version); `refresh` reads what is new. A version that is not registered has no
    baseline; a model that is not registered has no plan."""

    reader: CompactedReader
    codec: Codec
    catalogue: Catalogue = field(default_factory=lambda: Catalogue({}, {}, {}))
    _plans: dict[tuple[str, str], Plan] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # What can't be used doesn't take the place of what can.
        self.reader.check = partial(problem_of, self.codec)

    def refresh(self) -> bool:
        """Read the topic to its present end; True if something changed. Blocks; raises what the reader raises."""
        changed = self.reader.refresh()
        if changed:
            self.catalogue = read_catalogue(self.reader.state, self.codec)
            self._plans = {}
        return bool(changed)

    def plan(self, model: str, version: str) -> Plan | None:
        """May be called while another thread refreshes: a plan of the old catalogue is kept with the old plans only,
        which are taken first and replaced last."""
        plans, catalogue = self._plans, self.catalogue
        known = plans.get((model, version))
        if known is not None:
            return known
        spec = catalogue.spec(model)
        if spec is None:
            return None
        baseline = catalogue.baseline(model, version)
        plan = plan_for(spec, baseline, fingerprint(baseline) if baseline else "", fingerprint(spec.policy))
        plans[model, version] = plan
        return plan
