"""Kafka's jars: fetched once by Maven from the coordinates in pom.xml, kept outside the repository. The same for others."""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from once import alone

POM = Path(__file__).with_name("pom.xml")

_OLDEST_JAVA = 17
_FETCH_TIMEOUT_S = 600


def missing() -> str | None:
    """What this machine lacks for running Kafka, as a sentence; None if it lacks nothing."""
    if shutil.which("java") is None:
        return f"Kafka needs Java {_OLDEST_JAVA}: no `java` on the path"
    # The text goes to standard error: `openjdk version "17.0.15" 2025-04-15`.
    said = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', said)
    if found is None or int(found[1]) < _OLDEST_JAVA:
        return f"Kafka needs Java {_OLDEST_JAVA} or newer; `java -version` says {said.strip()!r}"
    if not _directory().is_dir() and shutil.which("mvn") is None:
        return "Kafka's jars are fetched by Maven: no `mvn` on the path"
    return None


def class_path(pom: Path = POM) -> str:
    """The class path of Kafka; the first call on a machine has Maven fetch it, some 45 MB. Or that of another pom."""
    directory = _directory(pom)
    with alone(directory):
        if not directory.is_dir():
            with tempfile.TemporaryDirectory(dir=directory.parent) as scratch:
                _fetch(pom, Path(scratch) / "jars")
                (Path(scratch) / "jars").rename(directory)
    return f"{directory}/*"


def _fetch(pom: Path, target: Path) -> None:
    command = ["mvn", "--quiet", "--batch-mode", "--file", str(pom), "dependency:copy-dependencies"]
    try:
        subprocess.run(
            [*command, f"-DoutputDirectory={target}"],
            check=True,
            capture_output=True,
            text=True,
            timeout=_FETCH_TIMEOUT_S,
        )
    except subprocess.CalledProcessError as error:
        raise RuntimeError(f"Maven could not fetch what {pom} names:\n{error.stdout[-2_000:]}") from error


def _directory(pom: Path = POM) -> Path:
    """Named after the version that the pom's one property gives."""
    version = re.search(r"<(\w+)\.version>(.+)</\1\.version>", pom.read_text(encoding="utf-8"))
    assert version is not None
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "driftsonde" / f"{version[1]}-{version[2]}"
