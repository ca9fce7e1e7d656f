"""What a team declares about a model: its task, its time, its policy. Parsed at the edge, frozen here.

Durations are milliseconds. Every field has a default that suits a model nobody has configured.
"""

from dataclasses import dataclass, field
from enum import StrEnum

MINUTE_MS = 60_000
HOUR_MS = 3_600_000


class Task(StrEnum):
    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"


class Mode(StrEnum):
    """What the controller may do by itself: nothing, propose to a person, act."""

    OBSERVE = "observe"
    RECOMMEND = "recommend"
    AUTO = "auto"


@dataclass(frozen=True, slots=True)
class DriftRule:
    """A column drifts in a window when its PSI passes both bars: the practical one and the statistical one.

    psi: the practical bar (effect size). alpha: the chance a column without drift passes the statistical bar in one
    window, after Bonferroni over the columns. min_rows: a smaller window is not judged.
    alert_after, retrain_after, resolve_after: consecutive windows, drifting or clean. retrain_after 0: drift alone, without a
    loss of performance, never asks for retraining.
    """

    psi: float = 0.2
    alpha: float = 0.01
    min_rows: int = 100
    alert_after: int = 1
    retrain_after: int = 0
    resolve_after: int = 3


@dataclass(frozen=True, slots=True)
class QualityRule:
    """A column's missing, unseen or out-of-range rate rose by more than this over the baseline's (0 to 1).

    volume: the model has fewer rows than usual by more than this share, or more by the same factor (0.5: less than half, more
    than twice); 0: told, never alarmed. freshness: for so long the model may be without rows, in event time; 0: for ever.
    """

    missing_rate: float = 0.1
    unseen_rate: float = 0.1
    out_of_range_rate: float = 0.1
    volume: float = 0.0
    freshness_ms: int = 0


# River's, on a classification's outcomes (`core.detecting`).
DETECTORS = ("adwin", "ddm", "eddm", "hddm_a", "hddm_w", "kswin", "page_hinkley")


@dataclass(frozen=True, slots=True)
class PerformanceRule:
    """Accuracy (for regression: RMSE, relative) is worse than the baseline's by more than `drop`, and the interval
    at `confidence` says that it is not chance. It asks for retraining only of a stable version: one that has just
    replaced another is held against that first, and a rollback is asked for where it is worse by more than `drop`.
    retrain_after 0: never. detectors: names, of `DETECTORS`, whose alarms are told beside; they never alert.
    """

    drop: float = 0.05
    confidence: float = 0.99
    min_labels: int = 100
    alert_after: int = 1
    retrain_after: int = 3
    resolve_after: int = 3
    detectors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FairnessRule:
    """The groups of a protected column lie further apart than `difference`, or the smallest selection rate is below `ratio` of
    the largest (the four-fifths rule), and the interval at `performance.confidence` says that it is not chance; no group
    with fewer than `performance.min_labels` rows takes part. alert_after: consecutive windows; 0: told, never alarmed.
    """

    difference: float = 0.1
    ratio: float = 0.8
    alert_after: int = 0
    resolve_after: int = 3


@dataclass(frozen=True, slots=True)
class MultivariateRule:
    """Numeric columns that are watched together, as a list of names or "*" for all numeric features; none (the default): not
    done, for it costs the sketcher as much again as half to one and a half times its other folding.

    shift: the practical bar of the Mahalanobis distance of the means, in standard deviations. reconstruction: by how much
    (relative) the PCA reconstruction error must rise over the baseline's. A version's baseline must have been taken while the
    columns were named.
    """

    columns: tuple[str, ...] = ()
    shift: float = 0.5
    reconstruction: float = 0.1
    alert_after: int = 1
    resolve_after: int = 3


@dataclass(frozen=True, slots=True)
class CanaryRule:
    """Roll back when the canary's accuracy is below the champion's by more than `margin`, at any-time level `alpha`."""

    margin: float = 0.02
    alpha: float = 0.05
    min_labels: int = 50


class Late(StrEnum):
    """What becomes of a rollout's stage that has lasted its longest without enough evidence."""

    PAUSE = "pause"
    ADVANCE = "advance"
    ROLLBACK = "rollback"


class Ramp(StrEnum):
    """How much of a stage's part of the requests a canary gets: all of it, or as much as Thompson sampling gives it."""

    STAGES = "stages"
    THOMPSON = "thompson"


@dataclass(frozen=True, slots=True)
class RolloutRule:
    """A new version's way to champion: a shadow first, if `shadow`; then a canary with these parts of the requests.

    The next stage comes when the judge finds the new version not worse by more than `canary.margin`, no incident of it
    is open, and the stage has had min_labels labelled rows and lasted min_stage. when_late: where labels come so late
    that there is no such evidence after max_stage: `advance` goes on all the same, unless an incident is open. ramp: by
    `thompson` a canary gets the probability that it is the better one, but at least the first stage's part and at most that
    of the stage it is in; a stage is left for the same reasons as without.
    """

    shadow: bool = True
    stages: tuple[float, ...] = (0.05, 0.25, 0.5)
    min_labels: int = 500
    min_stage_ms: int = HOUR_MS
    max_stage_ms: int = 7 * 24 * HOUR_MS
    when_late: Late = Late.PAUSE
    ramp: Ramp = Ramp.STAGES


# What a stage may ask to be known of a version.
KNOWABLE = (
    *(
        "data",
        "code_revision",
        "owner",
        "context",
        "intended_use",
        "approval",
        "description",
        "run",
        "artifact",
    ),
    *("columns", "feature_views", "params", "metrics"),
)


@dataclass(frozen=True, slots=True)
class StageRule:
    """What a version must have before it enters a stage; the defaults ask for nothing.

    baseline: one of its own, not of its first rows served. known: what must be registered of it, of `KNOWABLE`. metrics:
    bounds on what training told of it, or on what its baseline's rows scored (see `bounds`). approvals: roles; a different
    person approves for each. checklist: what somebody must have said is done. live: bounds of the same form on what the judge
    has measured of the version as shadow and canary, a column's as `metric:column`; they are asked for before it becomes
    champion, and so of production alone.
    """

    baseline: bool = False
    known: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    approvals: tuple[str, ...] = ()
    checklist: tuple[str, ...] = ()
    live: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PromotionRule:
    """A version's way from development to staging, and to production, where its rollout begins."""

    staging: StageRule = field(default_factory=StageRule)
    production: StageRule = field(default_factory=StageRule)


class Period(StrEnum):
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


_DAYS = {Period.DAY: 1, Period.WEEK: 7, Period.MONTH: 30, Period.QUARTER: 91, Period.YEAR: 365}


@dataclass(frozen=True, slots=True)
class Budget:
    """How many false pages a period of one model may have, in expectation, from drift, quality and performance together.

    learning_windows: so many healthy windows are learned first, of inputs and of outcomes each; until then
    every window is held against the bars of its rule by itself, without a budget.
    """

    false_pages: float = 1.0
    per: Period = Period.QUARTER
    learning_windows: int = 48

    def windows(self, window_ms: int) -> float:
        """How many windows the period has."""
        return _DAYS[self.per] * 24 * HOUR_MS / window_ms


@dataclass(frozen=True, slots=True)
class ActionPolicy:
    """Who decides on each kind of action, how long after one the next may come, and how many may come in a week.
    approvals: how many different people must approve what is proposed. retrain_cost: what one retraining costs, in the unit
    of the model's values; retrain_budget: how much they may cost in 30 days, 0 = any. learning: for so long after the model is
    first registered nothing pages and nothing is done, but what would have been is kept; 0 = there is no such period. Its
    default is what it takes to know a week, and a day's season (four rounds)."""

    retrain: Mode = Mode.OBSERVE
    rollback: Mode = Mode.OBSERVE
    promote: Mode = Mode.OBSERVE
    retrain_cooldown_ms: int = 24 * HOUR_MS
    retrain_per_week: int = 7
    approval_expiry_ms: int = 24 * HOUR_MS
    approvals: int = 1
    retrain_cost: float = 0.0
    retrain_budget: float = 0.0
    learning_ms: int = 7 * 24 * HOUR_MS


@dataclass(frozen=True, slots=True)
class Policy:
    """Rules say whether a number matters; actions say what may be done about it."""

    drift: DriftRule = field(default_factory=DriftRule)
    quality: QualityRule = field(default_factory=QualityRule)
    performance: PerformanceRule = field(default_factory=PerformanceRule)
    canary: CanaryRule = field(default_factory=CanaryRule)
    fairness: FairnessRule = field(default_factory=FairnessRule)
    multivariate: MultivariateRule = field(default_factory=MultivariateRule)
    budget: Budget = field(default_factory=Budget)
    actions: ActionPolicy = field(default_factory=ActionPolicy)
    rollout: RolloutRule = field(default_factory=RolloutRule)
    promotion: PromotionRule = field(default_factory=PromotionRule)


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One monitored model.

    window_ms: size of the event-time windows. lateness_ms: how far behind the newest event of its partition a row may
    be and still count as on time. label_wait_ms: how long after a window's end its labels are waited for before its
    performance is judged. classes: the labels of a classification, in the order of the confusion matrix; for a binary
    task the second is the positive one. baseline_rows: a version that is registered without a baseline gets one from its
    first so many rows. segments: names of the columns that results are sliced by. protected: names of the columns whose
    groups are compared (fairness), beside those that are logged as protected; outcome_values: what one row of each outcome of
    a classification is worth, in any unit, rows = label, columns = prediction, in the order of the classes. error_cost: what
    one wrong prediction of a classification costs, where that is all that is known; value_unit: of all of these, "EUR".
    """

    name: str
    task: Task
    window_ms: int = HOUR_MS
    lateness_ms: int = 5 * MINUTE_MS
    label_wait_ms: int = 24 * HOUR_MS
    baseline_rows: int = 5_000
    classes: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()
    outcome_values: tuple[tuple[float, ...], ...] = ()
    error_cost: float = 0.0
    value_unit: str = ""
    owner: str = ""
    description: str = ""
    policy: Policy = field(default_factory=Policy)
