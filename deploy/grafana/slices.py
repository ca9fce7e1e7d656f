"""Which rows a dashboard about one model is about: SQL conditions of its variables."""

from blocks import RED, YELLOW, thresholds

WHOLE = "whole model"  # how the segment '' is called in the list
EVERY_WINDOW = "all windows shown"
MODEL = "model = ${model:sqlstring}"
VERSION = f"{MODEL} AND version = ${{version:sqlstring}} AND variant = ${{variant:sqlstring}}"
SEGMENT = f"if(${{segment:sqlstring}} = '{WHOLE}', '', ${{segment:sqlstring}})"
SLICE = f"{VERSION} AND segment = {SEGMENT} AND $__timeFilter(window_start)"
WINDOW = f"{SLICE} AND ${{window:sqlstring}} IN ('{EVERY_WINDOW}', toString(window_start))"
VIEW_SLICE = f"{VERSION.replace(' AND', ',')}, segment = {SEGMENT}"
# Unix seconds: independent of the server's time zone.
FROM, TO = "${__from:date:seconds}", "${__to:date:seconds}"

PSI_STEPS = thresholds((0.1, YELLOW), (0.2, RED))
