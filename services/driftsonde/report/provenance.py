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
    "average_precision": "the precision over all recalls, thresholds at the scores; Wilson interval over the positives.",
    "calibration_error": "the mean gap of score and outcome in ten bins of equal width, weighted by rows; the interval is "
    "simultaneous over the bins, so a calibrated model on few rows has one from 0.",
    "weighted_f1": "F1 averaged over the classes, weighted by their labelled rows.",
    "weighted_precision": "precision, averaged in the same way.",
    "weighted_recall": "recall, averaged in the same way: the accuracy on rows of known classes.",
    "class_precision": "of each of the first 20 classes; so are class_recall and class_f1.",
    "paired_difference": "new version minus champion in accuracy on rows that both answered (a regression: champion minus new "
    "version in absolute error), in this window.",
    "paired_disagreement": "rows that only one of both had right, as a share of those.",
    "paired_mae": "the new version's error on rows that both answered (paired_champion_mae: the champion's; likewise paired_rmse and "
    "paired_champion_rmse), in this window; paired_difference_rms: how far the two absolute errors lie apart, root mean square.",
    "accuracy_difference": "new version minus champion in accuracy over all windows so far, by a confidence sequence.",
    "paired_accuracy_difference": "the same by the rows that both answered alone.",
    "paired_error_difference": "the champion's mean absolute error minus the new version's on the same rows, over all windows so far.",
    "mahalanobis_shift": "how far the means of several columns have moved together, in the baseline's standard deviations.",
    "reconstruction_error": "what the baseline's leading principal axes leave of a row, root mean square, in standard deviations: "
    "it rises where relations between columns break.",
    "mahalanobis_share": "a column's share of the square of the shift; reconstruction_share of that of the error.",
    "attribution_shift": "the share of all importance that has gone from some features to others.",
    "r_squared": "the share of the labels' variance that the predictions explain.",
    "value_per_row": "what an outcome is worth by the spec's matrix, averaged over the labelled rows.",
    "estimated_accuracy": "what the window's scores let expect, without labels: the baseline's accuracy in each bin of the "
    "score, weighted by the window's rows.",
    "estimated_f1": "the F1 of the confusion matrix that the scores let expect.",
    "estimated_mae": "what the predictions let expect: the baseline's mean absolute error in each bin of the prediction.",
    "estimated_rmse": "the same for squared errors, and its root.",
    "accuracy_gap": "accuracy minus its estimate: away from 0 where labels follow the scores otherwise than in the baseline.",
    "mae_gap": "MAE minus its estimate, in the label's unit.",
    "demographic_parity_difference": "between protected groups, the largest minus the smallest share predicted positive; "
    "all fairness intervals are exact and simultaneous over the groups.",
    "demographic_parity_ratio": "the smallest over the largest of these shares; four fifths is the usual limit.",
    "equal_opportunity_difference": "the largest minus the smallest recall of the groups.",
    "equalised_odds_difference": "the larger of the differences in recall and in false positive rate.",
    "predictive_parity_difference": "the largest minus the smallest precision of the groups.",
    "attribution_ndcg": "how far the features' ranking by root mean square attribution is the baseline's: 1 (same) downwards.",
    "importance_ratio": "the root mean square of a feature's attributions over the baseline's.",
    "constant_columns": "columns with one value in the whole window that had more in the baseline.",
    "label_coverage": "rows with a label as a share of the window's rows.",
    "label_delay_s": "the mean time from a prediction to its label.",
}

ALARMS = (
    "A column drifts in a window when its PSI is above two limits at once: the practical one of the policy, and the value "
    "that chance alone would exceed with the policy's α, shared out over all columns (χ² critical value for both "
    "numbers of rows). The higher of the two is the one shown. Windows with too few rows are not judged.",
    "A column's quality breaches when a rate is above the baseline's rate plus what the policy allows, and the whole "
    "interval is above it too.",
    "Performance breaches when the whole interval is on the bad side of the baseline's value plus or minus the drop that "
    "the policy allows, in a window with enough labels.",
    "Several columns together breach, where the policy names them, when the Mahalanobis shift or the reconstruction error is above "
    "its practical limit and above chance; groups, where the policy says so, when a whole fairness interval is beyond its limit.",
    "Breaches in consecutive windows open an incident: first an alert, after more windows a retrain signal. Clean windows "
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
