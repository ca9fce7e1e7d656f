"""Where a version comes from and what it is for: what a registry of models or a card tells of it."""

from dataclasses import dataclass, fields, replace

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Origin:
    """source: how the registry names the version. run: the training run; artifact: where the model is. columns: names and
    types of what the model takes. data: names and fingerprints of the training data sets; code_revision: of what trained
    it; "" and () where the registry does not say. created_ms: when the version was registered there. feature_views: names
    and versions of the views that the columns are read from. owner: who answers for this version; context: the business
    it serves; intended_use: what it may be used for, and what not; approval: what was decided on it elsewhere.
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
    feature_views: Pairs = ()
    owner: str = ""
    context: str = ""
    intended_use: str = ""
    approval: str = ""


def merged(first: Origin, second: Origin) -> Origin:
    """What both tell; where both speak, the first.

    >>> merged(Origin("card", owner="ann"), Origin("mlflow", run="r1", owner="bob"))
    Origin(source='card', run='r1', artifact='', created_ms=0, description='', code_revision='', columns=(), data=(), params=(), tags=(), metrics=(), feature_views=(), owner='ann', context='', intended_use='', approval='')
    """
    silent = {entry.name for entry in fields(Origin) if not getattr(first, entry.name)}
    return replace(first, **{name: getattr(second, name) for name in silent})
