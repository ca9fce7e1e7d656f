"""The machine and its processes: what it is, which core a process has, how much time and memory it took."""

import os
import platform
import resource
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    *("aiokafka", "chdb", "clickhouse-connect", "confluent-kafka", "fastavro", "faust-streaming"),
    *("numba", "numpy", "pyarrow", "scipy"),
)

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def describe_machine() -> dict[str, str]:
    """What figures depend on, by name."""
    return {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GB",
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        **{name: found for name in PACKAGES if (found := version_of(name))},
    }


def version_of(package: str) -> str:
    """Of an installed package; "" where it isn't."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def load_average() -> float:
    """How many processes wanted to run in the last minute: above the number of cores, others were in the way."""
    return os.getloadavg()[0]


def spare_cores() -> tuple[set[int], set[int]]:
    """(the core of what is measured, those of everything else); the same one where there is only one."""
    cores = sorted(os.sched_getaffinity(0))
    return {cores[-1]}, set(cores[:-1]) or {cores[-1]}


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of the processes so far, all threads."""
    return sum(_cpu_ticks(pid) for pid in pids) / _TICKS_PER_S


def waited_seconds(pids: Iterable[int]) -> float:
    """How long the main threads of the processes were ready to run and had no core: somebody else had it."""
    return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) for pid in pids) / 1e9


def peak_mb(pids: Iterable[int]) -> float:
    """The peak resident memory of the processes so far, added up."""
    return sum(_status_kb(pid, "VmHWM") for pid in pids) / 1024


def resident_mb(pid: int) -> float:
    return _status_kb(pid, "VmRSS") / 1024


def own_peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _cpu_ticks(pid: int) -> int:
    # The command's name, in parentheses, may hold blanks; utime and stime are the 12th and 13th fields after it.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _status_kb(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    return 0


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()
