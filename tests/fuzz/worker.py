"""Runs one job against a running API: `python -m tests.fuzz.worker URL DIRECTORY JOB`; each line is a report."""

import sys
from collections import Counter
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import msgspec
import schemathesis
from schemathesis import CheckContext, Config, Response
from schemathesis.engine import Status, StopReason, events, from_schema
from schemathesis.engine.recorder import ScenarioRecorder

from services.clock import now_ms
from services.windows import DAY_MS
from tests.fuzz import identities
from tests.fuzz.jobs import PHASES, Job
from tests.fuzz.mending import AnyCase, Mender, is_foreign
from tests.fuzz.reports import END, Finding, Report

ALL = "all operations"
_REQUEST_SECONDS = 30
_ANSWER_CHARACTERS = 600


def main() -> None:
    url, directory, line = sys.argv[1:]
    job = msgspec.json.decode(line, type=Job)
    for report in run(job, url, Path(directory)):
        sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
        sys.stdout.flush()


def run(job: Job, url: str, directory: Path) -> Iterator[Report]:
    """Run a job as the callers in a directory, and yield a report of each scenario; findings do not stop it."""
    today_ms = now_ms() // DAY_MS * DAY_MS  # on one day every run asks for the same ranges
    mender = Mender(identities.read_callers(directory), today_ms)

    @schemathesis.check
    def known_things_are_answered(context: CheckContext, response: Response, case: AnyCase) -> None:
        right = {HTTPStatus.OK, HTTPStatus.NOT_MODIFIED} if "If-None-Match" in case.headers else {HTTPStatus.OK}
        assert not mender.must_be_answered(case) or response.status_code in right, "nothing is wrong with the request"

    @schemathesis.check
    def foreign_things_stay_hidden(context: CheckContext, response: Response, case: AnyCase) -> None:
        assert not is_foreign(case) or response.status_code != HTTPStatus.OK, (
            "the caller's organization does not own this"
        )

    config = Config.from_dict(_config(job, identities.document(directory)))
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json", config=config)
    schema.hooks.register_hook_with_name(mender.mend, "map_case")
    schema.hooks.register_hook_with_name(mender.keep, "filter_failure")
    for event in from_schema(schema).execute():
        match event:
            case events.ScenarioFinished():
                yield _report(job, event)
            case events.NonFatalError():
                yield _broken(job, event.label, f"{type(event.value).__name__}: {event.value}")
            case events.FatalError():
                yield _broken(job, ALL, repr(event.exception))
            case events.EngineFinished(stop_reason=reason, failures=failures):
                if failures or reason is not StopReason.COMPLETED:
                    yield _broken(job, ALL, f"{reason}: {failures}")
                yield Report(job=job.name, phase=END)
            case _:
                pass


def _config(job: Job, document: Path) -> dict[str, Any]:
    generation = {
        "max-examples": job.examples,
        "mode": job.mode,
        "with-security-parameters": job.credentials,
        "no-shrink": True,
        "database": "none",
    }
    return {
        "seed": job.seed,
        "auth": {
            "wfc": {"path": str(document), "user": identities.CALLER, "peers": [identities.CALLER, identities.PEER]}
        },
        "checks": {"enabled": True},
        "phases": {phase: {"enabled": phase in job.phases} for phase in PHASES},
        "generation": generation,
        "continue-on-failure": True,
        "request-timeout": _REQUEST_SECONDS,
        "suppress-health-check": ["all"],
        "cache": {"enabled": False},
    }


def _broken(job: Job, operation: str, message: str) -> Report:
    return Report(job=job.name, phase="none", findings=[Finding(operation=operation, check="engine", message=message)])


def _report(job: Job, event: events.ScenarioFinished) -> Report:
    """Return what a scenario brought. What went through the checks is a case; a check's own request is an answer."""
    recorder = event.recorder
    cases: Counter[str] = Counter()
    answers: dict[str, Counter[int]] = {}
    for case_id, node in recorder.cases.items():
        operation = node.value.operation.label
        cases[operation] += case_id in recorder.checks
        response = recorder.find_response(case_id=case_id)
        answers.setdefault(operation, Counter())[0 if response is None else response.status_code] += 1
    return Report(
        job=job.name,
        phase=event.phase.value,
        cases=dict(cases),
        answers={operation: dict(by_status) for operation, by_status in answers.items()},
        findings=list(_findings(recorder)),
        peers_tried=sum(node.value.auth_identity == identities.PEER for node in recorder.cases.values()),
    )


def _findings(recorder: ScenarioRecorder) -> Iterator[Finding]:
    for case_id, checks in recorder.checks.items():
        for check in checks:
            if check.status is Status.SUCCESS:
                continue
            info = check.failure_info
            response = recorder.find_response(case_id=case_id)
            yield Finding(
                operation=recorder.cases[case_id].value.operation.label,
                check=check.name,
                message=f"{info.failure.title}: {info.failure.message}" if info else "the check itself failed",
                request=info.code_sample if info else "",
                answer=f"{response.status_code} {response.text[:_ANSWER_CHARACTERS]}" if response is not None else "",
            )


if __name__ == "__main__":
    main()
