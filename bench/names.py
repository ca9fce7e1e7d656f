"""Names of the figures that others are worked out from."""

NUMERIC_20 = "20 numeric, messages of 1,000 rows"
NUMERIC_200 = "200 numeric, messages of 250 rows"
ARCHIVER_ROWS = "20 numeric, messages of 1,000 rows"
ARCHIVED_ROW = "a row in `predictions`"
JUDGE_CLOSE = "close, compute and hold against the rules"
WINDOW_ROW = "a window of a column in `windows`"
HOUR_ROW = "an hour of a column in `window_hours`"
