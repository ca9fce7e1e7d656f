"""An environment for each peer, made once: what one needs of NumPy and pandas must not decide for the others."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

CONSTRAINTS = Path(__file__).with_name("constraints.txt")

_PYTHON = (3, 11)  # the newest that all the peers have wheels for
_INSTALL_S = 600


@dataclass(frozen=True, slots=True)
class Peer:
    """`packages` are installed; the module `<name>_rows` is run."""

    name: str
    packages: tuple[str, ...]


PEERS = (
    Peer("evidently", ("evidently",)),
    Peer("nannyml", ("nannyml", "statsmodels")),  # which it needs, and doesn't ask for
    Peer("whylogs", ("whylogs", "pandas", "numpy")),
    Peer("river", ("river", "pandas", "numpy")),
)


class NotInstalled(RuntimeError):
    """A peer can't be had on this machine; the message says why."""


def python_of(peer: Peer, root: Path) -> Path:
    """The interpreter of the peer's environment, which is made if it is missing. Raises `NotInstalled`."""
    home = root / peer.name
    python, done = home / "bin" / "python", home / "installed"
    if not done.exists() or done.stat().st_mtime < CONSTRAINTS.stat().st_mtime:
        shutil.rmtree(home, ignore_errors=True)
        _run([_base_python(), "-m", "venv", str(home)])
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run([*pip, "--only-binary", ":all:", "--constraint", str(CONSTRAINTS), *peer.packages])
        done.touch()
    return python


def _base_python() -> str:
    if sys.version_info[:2] == _PYTHON:
        return sys.executable
    found = shutil.which(f"python{_PYTHON[0]}.{_PYTHON[1]}")
    if found is None:
        raise NotInstalled(f"its wheels need Python {_PYTHON[0]}.{_PYTHON[1]}, which is not on the path")
    return found


def _run(command: list[str]) -> None:
    # Settings of this environment's pip or Python must not reach the other.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    try:
        done = subprocess.run(
            command, env=environ, capture_output=True, text=True, check=False, timeout=_INSTALL_S
        )
    except subprocess.TimeoutExpired:
        raise NotInstalled(f"installing took more than {_INSTALL_S} s") from None
    if done.returncode:
        raise NotInstalled(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "pip failed")
