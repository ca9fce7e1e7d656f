"""Where the numbers come from: files, baselines, and how each statistic is computed and becomes an alarm."""

from driftsonde.core.baseline import Baseline
from driftsonde.report.formats import format_metric, format_time, name_of
from driftsonde.report.results import Results

_MEANINGS = {
    "psi": "Σ (q − p) ln(q / p) over the baseline's bins, p the baseline's share and q the window's, each as "
    "(count + ½) / (rows + bins / 2). Missing values are a bin of their own.",
    "js_divergence": "the mean divergence of both distributions from their midpoint, in bits: 0 (same) to 1 (disjoint).",
    "ks": "the largest difference of the two cumulative distributions at the bins' edges, without missing values.",
    "wasserstein": "how far values moved on average, in the column's own unit, each bin's rows taken at its middle.",
    "missing_rate": "missing values as a share of the window's rows; 99 % Wilson interval.",
    "unseen_rate": "rows whose category the baseline does not have, as a share of all; 99 % Wilson interval.",
    "out_of_range_rate": "rows below the first or above the last edge of the baseline, as a share of all; "
    "99 % Wilson interval.",
    "accuracy": "correct predictions as a share of the labelled ones; Wilson interval.",
    "precision": "of the predicted positives, the share that was positive (multiclass: mean over the classes).",
    "recall": "of the positives, the share that was predicted (multiclass: mean over the classes).",
    "f1": "the harmonic mean of precision and recall (multiclass: mean over the classes).",
    "roc_auc": "the chance that a positive scores above a negative, from counts in fixed score bins; "
    "interval after Hanley and McNeil.",
    "log_loss": "the mean of −ln(score given to what happened), in nats.",
    "brier": "the mean squared difference of score and outcome.",
    "mae": "the mean absolute error, in the label's unit.",
    "rmse": "the root of the mean squared error, in the label's unit.",
    "bias": "the mean of prediction − label, in the label's unit.",
    "label_coverage": "rows with a label as a share of the window's rows.",
    "label_delay_s": "the mean time from a prediction to its label.",
}

ALARMS = (
    "A column drifts in a window when its PSI is above two bars at once: the practical one of the policy, and the value "
    "that chance alone would exceed with the policy's α, shared out over all columns (χ² critical value for both "
    "numbers of rows). The higher of the two is the threshold shown. Windows with too few rows are not judged.",
    "A column's quality breaches when a rate is above the baseline's rate plus what the policy allows, and the whole "
    "interval is above it too.",
    "Performance breaches when the whole interval is on the bad side of the baseline's value plus or minus the drop that "
    "the policy allows, in a window with enough labels.",
    "Breaches in consecutive windows open an episode: first an alert, after more windows a retrain signal. Clean windows "
    "in a row resolve it. Windows that begin before the baseline ends are in-sample and never breach.",
    "A canary is rolled back when its accuracy is below the champion's by more than the margin, by a confidence sequence "
    "that holds at all windows at once. A segment is silent while the whole model breaches the same rule.",
)


def lineage_rows(baseline: Baseline) -> tuple[tuple[str, str], ...]:
    """Where the baseline comes from, as rows of (what, value)."""
    lineage, scored = baseline.lineage, baseline.performance
    performance = "no labels"
    if scored is not None:
        performance = f"{name_of(scored.metric)} {format_metric(scored.metric, scored.value)}, n {scored.n:,}"
    return (
        ("Version", baseline.version),
        ("Source", lineage.source),
        ("Period", f"{format_time(lineage.start_ms)} to {format_time(lineage.end_ms)}"),
        ("Rows", f"{baseline.rows:,}"),
        ("Columns", f"{len(baseline.columns):,}"),
        ("Performance", performance),
        ("Fingerprint of the data", lineage.fingerprint or "not given"),
        ("Code", lineage.code_revision or "not given"),
        ("Kind", "provisional: taken from the first rows served" if lineage.provisional else "registered"),
    )


def definitions(results: Results) -> tuple[tuple[str, str], ...]:
    """(name, how it is computed) of the metrics that occur."""
    occurring = {key.metric for key in results.series}
    return tuple((name_of(metric), text) for metric, text in _MEANINGS.items() if metric in occurring)


def policies(results: Results) -> tuple[str, ...]:
    """Fingerprints of the policies that the signals were judged by."""
    return tuple(sorted({signal.policy for signal in results.signals if signal.policy}))
