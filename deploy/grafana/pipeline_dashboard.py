"""The pipeline itself, from Prometheus: does everything run, keep up, and get stored."""

from blocks import RED, YELLOW, Json, dashboard, promql, series, stat, table, thresholds

SERVICES = 'job=~"sketcher|judge|archiver|controller"'


def pipeline() -> Json:
    return dashboard(
        "driftsonde-pipeline",
        "Driftsonde / Pipeline health",
        "Throughput, lag, event time, storage and deliveries of the services.",
        [
            [
                stat(
                    "Instances that answer",
                    promql(f"sum by (job) (up{{{SERVICES}}})", "{{job}}"),
                    steps=thresholds((1, "green"), first=RED),
                    w=12,
                ),
                stat(
                    "Dead letters, last hour",
                    promql("sum(increase(driftsonde_dead_letters_total[1h])) or vector(0)", "messages"),
                    steps=thresholds((1, YELLOW)),
                ),
                stat(
                    "Lost unread, last hour",
                    promql("sum(increase(driftsonde_records_lost_total[1h])) or vector(0)", "messages"),
                    steps=thresholds((1, RED)),
                ),
            ],
            [
                series(
                    "Messages handled",
                    promql(
                        "sum by (job, topic) (rate(driftsonde_events_consumed_total[$__rate_interval]))",
                        "{{job}} {{topic}}",
                    ),
                    unit="ops",
                    low=0,
                ),
                series(
                    "Consumer lag",
                    promql("driftsonde:consumer_lag_records:sum", "{{job}} {{topic}}"),
                    low=0,
                    description="Messages not yet handled.",
                ),
            ],
            [
                series(
                    "Event time behind the clock",
                    promql(
                        "time() - min by (topic) (driftsonde_watermark_timestamp_seconds)",
                        "{{topic}}",
                    ),
                    unit="s",
                    description="Of the partition that is furthest behind. Replayed history is behind by its age.",
                ),
                series(
                    "Buffers",
                    promql("max by (job, buffer) (driftsonde_buffer_fill_ratio)", "{{job}} {{buffer}}"),
                    unit="percentunit",
                    low=0,
                ),
            ],
            [
                series(
                    "Storing: 95th percentile",
                    promql("driftsonde:sink_flush_duration_seconds:p95_5m", "{{job}} {{table}}"),
                    unit="s",
                    low=0,
                ),
                series(
                    "Rows stored",
                    promql(
                        "sum by (job, table) (rate(driftsonde_sink_rows_total[$__rate_interval]))",
                        "{{job}} {{table}}",
                    ),
                    promql(
                        "sum by (job) (rate(driftsonde_sink_retries_total[$__rate_interval]))",
                        "{{job}} failed attempts",
                    ),
                    unit="ops",
                    low=0,
                ),
            ],
            [
                series(
                    "Dead letters and skipped messages",
                    promql(
                        "sum by (job, reason) (rate(driftsonde_dead_letters_total[$__rate_interval]))",
                        "{{job}} {{reason}}",
                    ),
                    promql(
                        "sum by (job, topic, reason) (rate(driftsonde_events_skipped_total[$__rate_interval]))",
                        "{{job}} skipped {{topic}} {{reason}}",
                    ),
                    unit="ops",
                    low=0,
                ),
                series(
                    "Late rows",
                    promql(
                        "sum by (topic) (rate(driftsonde_late_rows_total[$__rate_interval]))", "{{topic}}"
                    ),
                    unit="ops",
                    low=0,
                ),
            ],
            [
                series(
                    "Labels",
                    promql(
                        "sum by (source) (rate(driftsonde_labels_matched_total[$__rate_interval]))",
                        "matched, {{source}}",
                    ),
                    promql("sum(rate(driftsonde_labels_unmatched_total[$__rate_interval]))", "unmatched"),
                    unit="ops",
                    low=0,
                ),
                series(
                    "Label delay",
                    promql(
                        "histogram_quantile(0.5, sum by (le) (rate(driftsonde_label_delay_seconds_bucket[$__rate_interval])))",
                        "half of the labels",
                    ),
                    promql(
                        "histogram_quantile(0.95, sum by (le) (rate(driftsonde_label_delay_seconds_bucket[$__rate_interval])))",
                        "95 in 100",
                    ),
                    unit="s",
                    low=0,
                ),
            ],
            [
                series(
                    "Windows judged, statistics past their bar",
                    promql(
                        "sum by (model) (increase(driftsonde_windows_judged_total[1h]))", "{{model}} windows"
                    ),
                    promql(
                        "sum by (model, rule) (increase(driftsonde_verdict_breaches_total[1h]))",
                        "{{model}} {{rule}}",
                    ),
                    low=0,
                    description="In the hour before.",
                ),
                series(
                    "Label coverage",
                    promql("driftsonde_label_coverage_ratio", "{{model}}"),
                    unit="percentunit",
                    low=0,
                ),
            ],
            [
                series(
                    "Signals and decisions, in the hour before",
                    promql("sum by (kind) (increase(driftsonde_signals_total[1h]))", "signal {{kind}}"),
                    promql(
                        "sum by (kind, step) (increase(driftsonde_decisions_total[1h]))",
                        "{{kind}} {{step}}",
                    ),
                    low=0,
                ),
                series(
                    "Webhook deliveries, in the hour before",
                    promql(
                        "sum by (endpoint, result) (increase(driftsonde_webhook_deliveries_total[1h]))",
                        "{{endpoint}} {{result}}",
                    ),
                    low=0,
                ),
            ],
            [
                table(
                    "Versions",
                    promql(
                        "count by (service, version) (driftsonde_build_info)",
                        "{{service}} {{version}}",
                        instant=True,
                    ),
                    h=6,
                )
            ],
        ],
        time_from="now-6h",
    )
