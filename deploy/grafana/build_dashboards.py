"""Write the dashboards as JSON: `python deploy/grafana/build_dashboards.py [DIRECTORY]`.

The files in deploy/grafana/dashboards are what Grafana loads; a test checks that they are what this program writes.
"""

import json
import sys
from pathlib import Path

from fleet_dashboard import fleet
from model_dashboard import model
from pipeline_dashboard import pipeline

CHECKED_IN = Path(__file__).parent / "dashboards"
DASHBOARDS = {"fleet.json": fleet, "model.json": model, "pipeline.json": pipeline}


def main(directory: Path) -> None:
    for name, build in DASHBOARDS.items():
        text = json.dumps(build(), indent=2, ensure_ascii=False) + "\n"
        (directory / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else CHECKED_IN)
