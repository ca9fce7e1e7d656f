"""Numbers and times as a person reads them. A number that is not there is an en dash."""

import math
from datetime import UTC, datetime
from enum import Enum

NOTHING = "–"
_SPACE = "\N{NO-BREAK SPACE}"
_MINUTE_MS = 60_000
_DAY_MS = 86_400_000

_TIME_UNITS = {1.0: "s", 60.0: "min", 3600.0: "h", 86_400.0: "d"}

_SHARES = frozenset(
    {
        *("accuracy", "precision", "recall", "f1", "accuracy_difference"),
        *("missing_rate", "unseen_rate", "out_of_range_rate", "label_coverage"),
        *("estimated_accuracy", "estimated_f1", "accuracy_gap", "weighted_f1", "calibration_error"),
        *("demographic_parity_difference", "demographic_parity_ratio", "equal_opportunity_difference"),
        *("equalised_odds_difference", "predictive_parity_difference"),
        *("weighted_precision", "weighted_recall", "class_precision", "class_recall", "class_f1"),
        *("paired_accuracy_difference", "paired_disagreement", "mahalanobis_share", "reconstruction_share"),
    }
)

NAMES = {
    "psi": "PSI",
    "js_divergence": "Jensen–Shannon divergence",
    "ks": "Kolmogorov–Smirnov distance",
    "wasserstein": "Wasserstein distance",
    "missing_rate": "missing",
    "unseen_rate": "unseen categories",
    "out_of_range_rate": "out of range",
    "f1": "F1",
    "roc_auc": "ROC AUC",
    "log_loss": "log loss",
    "brier": "Brier score",
    "mae": "MAE",
    "rmse": "RMSE",
    "label_coverage": "label coverage",
    "label_delay_s": "label delay",
    "accuracy_difference": "accuracy difference",
    "average_precision": "average precision",
    "calibration_error": "calibration error",
    "weighted_f1": "weighted F1",
    "weighted_precision": "weighted precision",
    "weighted_recall": "weighted recall",
    "class_precision": "precision of a class",
    "class_recall": "recall of a class",
    "class_f1": "F1 of a class",
    "paired_accuracy_difference": "accuracy difference, paired",
    "paired_error_difference": "error difference, paired",
    "paired_difference": "difference in the window, paired",
    "paired_disagreement": "rows only one version has right",
    "mahalanobis_shift": "Mahalanobis shift",
    "mahalanobis_share": "share of the Mahalanobis shift",
    "reconstruction_error": "PCA reconstruction error",
    "reconstruction_share": "share of the reconstruction error",
    "attribution_shift": "importance moved between features",
    "r_squared": "R²",
    "value_per_row": "value per row",
    "estimated_accuracy": "estimated accuracy",
    "estimated_f1": "estimated F1",
    "estimated_mae": "estimated MAE",
    "estimated_rmse": "estimated RMSE",
    "accuracy_gap": "accuracy beyond the estimate",
    "mae_gap": "MAE beyond the estimate",
    "demographic_parity_difference": "demographic parity difference",
    "demographic_parity_ratio": "demographic parity ratio",
    "equal_opportunity_difference": "equal opportunity difference",
    "equalised_odds_difference": "equalised odds difference",
    "predictive_parity_difference": "predictive parity difference",
    "attribution_ndcg": "NDCG of the importance ranking",
    "importance_ratio": "importance over the baseline's",
    "constant_columns": "constant columns",
}


def name_of(metric: str) -> str:
    """The metric's name in running text.

    >>> name_of("psi"), name_of("accuracy")
    ('PSI', 'accuracy')
    """
    return NAMES.get(metric, metric)


def is_share(metric: str) -> bool:
    """True for a metric that is shown in percent."""
    return metric in _SHARES


def unit_of(metric: str, value: float) -> float:
    """What a value of this size is best counted in: for a time in seconds a minute, an hour, a day; otherwise 1.

    >>> unit_of("label_delay_s", 2000.0), unit_of("psi", 2000.0)
    (60.0, 1.0)
    """
    if metric != "label_delay_s":
        return 1.0
    return max((unit for unit in _TIME_UNITS if value >= 2 * unit), default=1.0)


def format_metric(metric: str, value: float) -> str:
    """A value in the unit that suits its metric.

    >>> format_metric("accuracy", 0.91234), format_metric("psi", 0.2), format_metric("mae", math.nan)
    ('91.2 %', '0.20', '–')
    >>> format_metric("label_delay_s", 2000.0)
    '33.3 min'
    """
    if not math.isfinite(value):
        return NOTHING
    if is_share(metric):
        return format_percent(value)
    if metric == "psi":
        return f"{value:.2f}" if value >= 0.095 or value == 0 else f"{value:.3f}"
    if metric == "label_delay_s":
        unit = unit_of(metric, value)
        return f"{value / unit:.3g} {_TIME_UNITS[unit]}"
    return format_number(value)


def format_percent(share: float) -> str:
    """A share from 0 to 1.

    >>> format_percent(0.5), format_percent(0.00004), format_percent(1)
    ('50.0 %', '< 0.1 %', '100 %')
    """
    if not math.isfinite(share):
        return NOTHING
    if 0 < share < 0.0005:
        return "< 0.1 %"
    return f"{share:.0%}".replace("%", " %") if share in (0, 1) else f"{100 * share:.1f} %"


def format_number(value: float) -> str:
    """Four significant digits; thousands of a large number are separated.

    >>> format_number(0.123456), format_number(1234567.8), format_number(3), format_number(-math.inf)
    ('0.1235', '1,234,568', '3', '−∞')
    """
    if math.isnan(value):
        return NOTHING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:,.0f}" if abs(value) >= 10_000 and abs(value) < 1e12 else f"{value:.4g}"
    return text.replace("-", "−") if "e" not in text else text


def format_bin(name: str, lower: float | None, upper: float | None, category: str) -> str:
    """What a bin holds, for a row of a table: an interval, a category, or the name of a special bin.

    >>> format_bin("1", 0.25, 0.5, ""), format_bin("2", None, None, "NSW"), format_bin("missing", None, None, "")
    ('0.25 – 0.5', 'NSW', 'missing')
    >>> format_bin("below", None, 0.25, ""), format_bin("above", 0.5, math.inf, "")
    ('below 0.25', '0.5 and above')
    """
    low = -math.inf if lower is None or math.isnan(lower) else lower
    high = math.inf if upper is None or math.isnan(upper) else upper
    if math.isfinite(low) and math.isfinite(high):
        return f"{format_number(low)} – {format_number(high)}"
    if math.isfinite(high):
        return f"below {format_number(high)}"
    if math.isfinite(low):
        return f"{format_number(low)} and above"
    return category or name


def format_count(value: int) -> str:
    """
    >>> format_count(45312)
    '45,312'
    """
    return f"{value:,}"


def format_plural(count: int, noun: str) -> str:
    """
    >>> format_plural(1, "window"), format_plural(1200, "window")
    ('1 window', '1,200 windows')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def format_bytes(size: int) -> str:
    """
    >>> format_bytes(512), format_bytes(2_340_000)
    ('512 B', '2.3 MB')
    """
    for limit, unit in ((1e6, "MB"), (1e3, "kB")):
        if size >= limit:
            return f"{size / limit:.1f} {unit}"
    return f"{size} B"


def format_time(time_ms: int) -> str:
    """A moment in UTC, as short as it can be said without loss of whole seconds.

    >>> format_time(1_709_474_400_000), format_time(1_709_474_401_500), format_time(1_709_424_000_000)
    ('2024-03-03 14:00', '2024-03-03 14:00:01', '2024-03-03 00:00')
    """
    moment = datetime.fromtimestamp(time_ms // 1000, UTC)
    return moment.strftime("%Y-%m-%d %H:%M" if moment.second == 0 else "%Y-%m-%d %H:%M:%S")


def format_moment(time_ms: int, exact: bool = False) -> str:
    """A moment in UTC in running text; its parts stay on one line. Seconds where there are some, or if it is to be exact.

    >>> format_moment(1_709_474_400_000).split("\\xa0"), format_moment(1_709_474_400_000, exact=True)[-8:]
    (['3', 'Mar', '2024', '14:00'], '14:00:00')
    """
    moment = datetime.fromtimestamp(time_ms // 1000, UTC)
    clock = f"{moment:%H:%M:%S}" if exact or moment.second else f"{moment:%H:%M}"
    return _SPACE.join((str(moment.day), f"{moment:%b}", f"{moment:%Y}", clock))


class TickPattern(Enum):
    """What a label on an axis says of a moment: as much as the step between the labels needs."""

    SECOND = "{moment:%H:%M:%S}"
    MINUTE = "{moment.day} {moment:%b} {moment:%H:%M}"
    DAY = "{moment.day} {moment:%b}"
    MONTH = "{moment:%b} {moment:%Y}"
    YEAR = "{moment:%Y}"


def format_tick(time_ms: int, pattern: TickPattern) -> str:
    """A moment on an axis.

    >>> [format_tick(1_709_474_400_000, pattern) for pattern in TickPattern]
    ['14:00:00', '3 Mar 14:00', '3 Mar', 'Mar 2024', '2024']
    """
    return pattern.value.format(moment=datetime.fromtimestamp(time_ms / 1000, UTC))


def format_span(duration_ms: int) -> str:
    """A length of time in its two largest units, for reading rather than computing.

    >>> format_span(3_600_000), format_span(93_600_000), format_span(90_000), format_span(250)
    ('1 h', '1 d 2 h', '1 min 30 s', '250 ms')
    """
    if duration_ms < 1000:
        return f"{duration_ms} ms"
    parts: list[str] = []
    rest = duration_ms
    for unit, size in (("d", _DAY_MS), ("h", 3_600_000), ("min", _MINUTE_MS), ("s", 1000)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])
