"""Thresholds of lag, for scripts. Pure; what is unknown keeps no threshold."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.lag_report import LagRow


@dataclass(frozen=True, slots=True, kw_only=True)
class LagLimits:
    """The most records that may wait in a partition, and the longest that one may; None for no limit."""

    lag: int | None = None
    age_s: float | None = None

    @property
    def any(self) -> bool:
        return self.lag is not None or self.age_s is not None

    def broken(self, rows: Sequence[LagRow]) -> list[str]:
        """Return a sentence for each limit that a partition does not keep, or may not."""
        return [f"{row.topic}, partition {row.partition}: {why}" for row in rows for why in self._broken(row)]

    def _broken(self, row: LagRow) -> Iterator[str]:
        if self.lag is not None and (row.lag is None or row.lag > self.lag):
            waiting = "an unknown number of" if row.lag is None else str(row.lag)
            yield f"{waiting} records wait, and --max-lag is {self.lag}"
        if self.age_s is not None and (row.age_seconds is None or row.age_seconds > self.age_s):
            waited = "an unknown time" if row.age_seconds is None else f"{row.age_seconds:g} s"
            yield f"the oldest record waits {waited}, and --max-age is {self.age_s:g} s"
