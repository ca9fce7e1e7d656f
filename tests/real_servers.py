"""Servers from PyPI, each in an environment of its own beside the project's, which none of their packages may enter."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

PREFECT = ("prefect-3.7.2", "prefect==3.7.2", "fastapi<0.130")
MLFLOW = ("mlflow-3.17.2", "mlflow==3.17.2")


def programs(name: str, *requirements: str) -> Path:
    """The folder of an environment's programs; the environment is made once, and kept in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "driftsonde" / name
    done = folder / "installed"
    if not done.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        install: list[str | Path] = [
            folder / "bin" / "python",
            "-m",
            "pip",
            "install",
            "--quiet",
            *requirements,
        ]
        subprocess.run(install, check=True)
        done.touch()
    return folder / "bin"


@contextmanager
def running(command: list[str | Path], environ: Mapping[str, str], log: Path) -> Iterator[None]:
    """A process that is ended with the block."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env={**os.environ, **environ}, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            yield
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(15)
            process.kill()
            process.wait(15)


def wait_for(url: str, log: Path, timeout_s: float = 240.0) -> None:
    """Until this address answers well."""
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        with suppress(httpx.HTTPError):
            if httpx.get(url, trust_env=False).is_success:
                return
        time.sleep(0.2)
    pytest.fail(f"{url} does not answer:\n{log.read_text(errors='replace')[-2_000:]}")
