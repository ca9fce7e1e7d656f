"""Where a version comes from: what the registry of models tells of it and of the run that trained it."""

from dataclasses import dataclass

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Origin:
    """source: how the registry names the version. run: the training run; artifact: where the model is. columns: names and
    types of what the model takes. data: names and fingerprints of the training data sets; code_revision: of what trained
    it; "" and () where the registry does not say. created_ms: when the version was registered there.
    """

    source: str
    run: str = ""
    artifact: str = ""
    created_ms: int = 0
    description: str = ""
    code_revision: str = ""
    columns: Pairs = ()
    data: Pairs = ()
    params: Pairs = ()
    tags: Pairs = ()
    metrics: tuple[tuple[str, float], ...] = ()
