"""Write the dashboards and the alert rules as JSON: `python deploy/grafana/build_dashboards.py [DASHBOARDS ALERTING]`.

The files in deploy/grafana are what Grafana loads; a test checks that they are what this program writes.
"""

import json
import sys
from pathlib import Path

from alert_rules import alert_rules
from blocks import Json
from fleet_dashboard import fleet
from governance_dashboard import governance
from model_dashboard import model
from pipeline_dashboard import pipeline
from rollout_dashboard import rollout

CHECKED_IN = Path(__file__).parent / "dashboards"
ALERTING = Path(__file__).parent / "provisioning" / "alerting"
DASHBOARDS = {
    "fleet.json": fleet,
    "model.json": model,
    "rollout.json": rollout,
    "governance.json": governance,
    "pipeline.json": pipeline,
}


def main(directory: Path, alerting: Path) -> None:
    for name, build in DASHBOARDS.items():
        _write(directory / name, build())
    _write(alerting / "driftsonde.json", alert_rules())


def _write(file: Path, content: Json) -> None:
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*(Path(name) for name in sys.argv[1:3] or (CHECKED_IN, ALERTING)))
