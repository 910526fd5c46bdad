"""Runs the jobs in worker processes, as many at a time as there are cores."""

import asyncio
import os
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tests.fuzz.jobs import Job
from tests.fuzz.reports import END, Finding, Report, Tally
from tests.support.api_process import ROOT

_SILENCE_SECONDS = 300
_LINE_BYTES_MAX = 1 << 26
_LOG_CHARACTERS = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The running API, and a directory that has the callers and gets the workers' logs."""

    url: str
    directory: Path


async def run_jobs(jobs: Iterable[Job], target: Target, tell: Callable[[str], None]) -> Tally:
    """Run all jobs and return the sum of their reports; `tell` gets a line for each job that ends."""
    total = Tally()
    waiting = iter(jobs)

    async def work() -> None:
        for job in waiting:
            started_s = time.monotonic()
            tally = await _run(job, target)
            total.add(tally)
            seconds = time.monotonic() - started_s
            rate = tally.cases.total() / seconds
            found = f", {len(tally.findings)} FINDINGS" if tally.findings else ""
            tell(f"{job.name}: {tally.cases.total()} cases in {seconds:.0f} s, {rate:.0f}/s{found}")

    async with asyncio.TaskGroup() as workers:
        for _ in os.sched_getaffinity(0):
            workers.create_task(work())
    return total


async def _run(job: Job, target: Target) -> Tally:
    """Run one job; a worker that ends early or falls silent is a finding."""
    log = target.directory / f"{job.name}.log"
    command = [sys.executable, "-m", "tests.fuzz.worker", target.url, str(target.directory)]
    with log.open("wb") as errors:
        worker = await asyncio.create_subprocess_exec(
            *command,
            msgspec.json.encode(job).decode(),
            cwd=ROOT,
            # The order of schemathesis' sets is part of what a seed must give again.
            env={**os.environ, "PYTHONHASHSEED": "0"},
            stdout=PIPE,
            stderr=errors,
            limit=_LINE_BYTES_MAX,
        )
        try:
            tally, whole = await _listen(worker)
        finally:
            if worker.returncode is None:
                worker.kill()
            await worker.wait()
    if not whole:
        last = log.read_text()[-_LOG_CHARACTERS:]
        message = f"the job {job.name} did not come to its end (code {worker.returncode})\n{last}"
        tally.findings.append(Finding(operation="all operations", check="worker", message=message))
    return tally


async def _listen(worker: Process) -> tuple[Tally, bool]:
    """Return the sum of a worker's reports, and whether it came to its end."""
    assert worker.stdout is not None
    tally, whole = Tally(), False
    try:
        while line := await asyncio.wait_for(worker.stdout.readline(), _SILENCE_SECONDS):
            report = msgspec.json.decode(line, type=Report)
            tally.report(report)
            whole = whole or report.phase == END
        await worker.wait()
    except TimeoutError:
        whole = False
    return tally, whole
