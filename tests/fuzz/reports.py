"""What a worker tells of each scenario, and the sum of it all."""

from collections import Counter
from dataclasses import dataclass, field

OK = 200
END = "end"
"""The phase of a job's last report; a job that sends none was cut short."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A check that failed, or what kept the engine from going on; `request` is a curl command without the token."""

    operation: str
    check: str
    message: str
    request: str = ""
    answer: str = ""

    @property
    def kind(self) -> tuple[str, str, str]:
        return self.operation, self.check, self.message.partition("\n")[0]

    def text(self) -> str:
        return "\n".join(
            part for part in (f"{self.operation}: {self.check}", self.message, self.request, self.answer) if part
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One scenario: cases and answers by operation; status 0 is no answer. Answers to checks' own requests count."""

    job: str
    phase: str
    cases: dict[str, int] = field(default_factory=dict)
    answers: dict[str, dict[int, int]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    peers_tried: int = 0


@dataclass(repr=False)
class Tally:
    """The sum of reports."""

    cases: Counter[str] = field(default_factory=Counter)
    phases: Counter[str] = field(default_factory=Counter)
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    peers_tried: int = 0

    def report(self, report: Report) -> None:
        """Add one report."""
        self.cases.update(report.cases)
        self.phases[report.phase] += sum(report.cases.values())
        self.answers.update({(name, status): n for name, by in report.answers.items() for status, n in by.items()})
        self.findings += report.findings
        self.peers_tried += report.peers_tried

    def add(self, other: "Tally") -> None:
        self.cases += other.cases
        self.phases += other.phases
        self.answers += other.answers
        self.findings += other.findings
        self.peers_tried += other.peers_tried

    @property
    def answered(self) -> float:
        """The share of 200 among all answers."""
        return sum(n for (_, status), n in self.answers.items() if status == OK) / (self.answers.total() or 1)

    def of(self, operation: str, status: int) -> int:
        return self.answers[operation, status]

    def table(self) -> str:
        """Return cases and answers by operation, for people."""
        names = sorted(self.cases)
        width = max((len(name) for name in names), default=0)
        statuses = sorted({status for _, status in self.answers})
        lines = [
            f"{'':{width}}" + "".join(f"{head:>8}" for head in ("cases", *(status or "none" for status in statuses)))
        ]
        for name in names:
            numbers = (self.cases[name], *(self.of(name, status) for status in statuses))
            lines.append(f"{name:{width}}" + "".join(f"{number:>8}" for number in numbers))
        phases = ", ".join(f"{phase} {n}" for phase, n in sorted(self.phases.items()) if n)
        total = f"{self.cases.total()} cases ({phases}); {self.answered:.1%} of {self.answers.total()} answers are 200"
        return "\n".join([*lines, total])
