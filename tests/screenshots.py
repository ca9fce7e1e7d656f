"""Pictures of every page of the console for the docs: `python tests/screenshots.py DIRECTORY`.

Each on a desktop, light and dark, and on a phone; of the fleet that the tests know, which ends now.
"""

import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from chromium import Tab, browsing
from console_desk import serve, stores, with_rollout
from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.settings import ClickHouseSettings
from driftsonde.core.control.decisions import ALL_MODELS
from driftsonde.core.control.inputs import AutomationChange
from monitored_fleet import HOURS

# Width, height, dark, phone.
SCREENS = {
    "light": (1280, 900, False, False),
    "dark": (1280, 900, True, False),
    "phone": (390, 844, False, True),
}
PAGES = {
    "models": "/",
    "model": "/models/fraud",
    "incident": "/incidents/{incident}",
    "rollouts": "/rollouts",
    "rollout": "/rollouts/fraud",
    "decisions": "/decisions",
    "controls": "/controls",
    "login": "/login",
}
MOST_HEIGHT_PX = 1_500


def main(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=HOURS)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with browsing(folder) as tab, stores(folder, start) as (full, empty):
            desk = with_rollout(start, int(datetime.now(UTC).timestamp() * 1000))
            door = serve(desk, full)
            nothing = serve(with_rollout(start), empty)
            for page, path in PAGES.items():
                url = f"http://127.0.0.1:{door.port}" + path.format(incident=desk.incident.id)
                _take(tab, url, directory, page)
            _take(tab, f"http://127.0.0.1:{nothing.port}/", directory, "empty")
            desk.submit(AutomationChange(ALL_MODELS, True, "ada", "the labels of March are wrong")).result()
            _take(tab, f"http://127.0.0.1:{door.port}/controls", directory, "stopped")
            away = serve(desk, Store(ClickHouseSettings("127.0.0.1", 1)))
            _take(tab, f"http://127.0.0.1:{away.port}/models/fraud", directory, "away")
            for each in (door, nothing, away):
                each.close()


def _take(tab: Tab, url: str, directory: Path, page: str) -> None:
    for screen, (width, height, dark, phone) in SCREENS.items():
        tab.look(width, height, dark=dark, phone=phone)
        tab.open(url)
        tab.picture(directory / f"console-{page}-{screen}.webp", most_height=MOST_HEIGHT_PX)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
