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

from once import alone
from ports import free_port

PREFECT = ("prefect-3.7.2", "prefect==3.7.2", "fastapi<0.130")
MLFLOW = ("mlflow-3.17.2", "mlflow==3.17.2")


def programs(name: str, *requirements: str) -> Path:
    """The folder of an environment's programs; the environment is made once, and kept in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "driftsonde" / name
    done = folder / "installed"
    with alone(folder):
        if not done.exists():
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            python = folder / "bin" / "python"
            subprocess.run([python, "-m", "pip", "install", "--quiet", *requirements], check=True)
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


@contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """MLflow on SQLite, in a new folder's files; gives its address."""
    tools, port = programs(*MLFLOW), free_port()
    quiet = {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    command: list[str | Path] = [
        *(tools / "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{folder}/mlflow.db"),
        *("--artifacts-destination", folder / "artifacts"),
    ]
    url, log = f"http://127.0.0.1:{port}", folder / "mlflow.log"
    with running(command, quiet, log):
        wait_for(f"{url}/health", log)
        yield url


@contextmanager
def prefect_server(folder: Path, flows: str, deployment: str, environ: Mapping[str, str]) -> Iterator[str]:
    """Prefect on SQLite, and a process that runs `flows`, a program that serves this deployment ("flow/name"); gives the
    address of the API."""
    tools, port = programs(*PREFECT), free_port()
    url = f"http://127.0.0.1:{port}/api"
    quiet = {
        "PREFECT_HOME": str(folder),
        "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{folder}/prefect.db",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
    }
    command: list[str | Path] = [
        *(tools / "prefect", "server", "start", "--no-services"),
        *("--host", "127.0.0.1", "--port", str(port)),
    ]
    script, log, serve_log = folder / "flow.py", folder / "server.log", folder / "serve.log"
    script.write_text(flows)
    with running(command, quiet, log):
        wait_for(f"{url}/health", log)
        serve: list[str | Path] = [tools / "python", script]
        with running(serve, {**quiet, **environ, "PREFECT_API_URL": url}, serve_log):
            wait_for(f"{url}/deployments/name/{deployment}", serve_log)
            yield url
