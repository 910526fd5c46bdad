"""What a figure was measured on, and what each process used of it."""

import os
import platform
import subprocess
import time
from pathlib import Path

import numpy as np

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def describe() -> dict[str, str]:
    """Return processor, cores, memory, kernel and Python as words for a person."""
    fields = [line.partition(":") for line in Path("/proc/cpuinfo").read_text().splitlines()]
    model = next((value.strip() for name, _, value in fields if name.strip() == "model name"), platform.machine())
    memory_kib = int(Path("/proc/meminfo").read_text().split()[1])
    return {
        "processor": model,
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory_kib / 1024**2:.1f} GiB",
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def version_of(program: Path) -> str:
    """Return what a server program says of its version, in one line."""
    said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=False)
    return said.stdout.strip().splitlines()[0] if said.stdout.strip() else program.name


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process and its ended children have used so far, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(fields[place]) for place in (11, 12, 13, 14)) / _TICKS_PER_SECOND


def running_seconds(pid: int) -> float:
    """Return the time that a process's living threads have been on a processor so far, to the nanosecond."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def reference_seconds() -> float:
    """Return the processor time of a fixed piece of work like the aggregator's, so that two hours can be compared."""
    began = time.process_time()
    numbers = np.random.default_rng(1).integers(0, 2**62, 300_000)
    for _ in range(2):
        np.sort(numbers)
        texts = [str(number) for number in numbers[:50_000].tolist()]
        known = dict(zip(texts, numbers.tolist(), strict=False))
        sum(known[text] & 7 for text in texts)
    return time.process_time() - began
