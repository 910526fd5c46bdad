"""The months that account-utilizations answers, and what a month amounts to (contract notes A02 to A04). Pure.

A month is the number of whole calendar months since January 1970 in UTC (`services.windows`).
"""

import re
from collections.abc import Sequence
from typing import Final

from query_api.ranges import BadRange, Kept, PlannedBlock
from query_api.schemas.utilization import UtilizationMonth
from query_api.snapshot import OrganizationSnapshot
from services.windows import DAY_MS, HOURS_PER_DAY, day_of_month, first_day_of_month, month_of_day

MONTHS_DEFAULT: Final = 12
MONTHS_BACK_MAX: Final = 72
"""A user's history reaches that far, and one month before it (`services.directory_records.MONTHS_MAX`)."""

_PARAMETER: Final = "startDate"
_START: Final = re.compile(r"(\d{4})-(\d{2})", re.ASCII)


def asked_months(start_date: str | None, kept: Kept, now_ms: int) -> range:
    """Return the months to answer, up to the current one: from `start_date` on, or the last 12 that are kept.

    Raises:
        BadRange: it is no month, lies in the future or too far back, or not all of its days are kept.
    """
    current = month_of_day(now_ms // DAY_MS)
    first_kept = _first_kept(kept)
    if start_date is None:
        return range(max(current - MONTHS_DEFAULT + 1, first_kept), current + 1)
    start = _month(start_date)
    if start > current:
        raise BadRange(_PARAMETER, f"the month lies in the future; the current one is {_text(current)}")
    if start < current - MONTHS_BACK_MAX:
        earliest = _text(max(current - MONTHS_BACK_MAX, first_kept))
        raise BadRange(
            _PARAMETER, f"the month lies more than {MONTHS_BACK_MAX} months back, before {earliest}", earliest=earliest
        )
    if start < first_kept:
        earliest = _text(first_kept)
        raise BadRange(_PARAMETER, f"the days before {earliest} are not kept", earliest=earliest)
    return range(start, current + 1)


def block_of_month(month: int) -> PlannedBlock:
    start, end = first_day_of_month(month), first_day_of_month(month + 1)
    return PlannedBlock(start_hour=start * HOURS_PER_DAY, end_hour=end * HOURS_PER_DAY)


def utilization_months(
    months: Sequence[int], unit: OrganizationSnapshot, active: Sequence[int]
) -> list[UtilizationMonth]:
    """Return one row a month; of the current month what is so now."""
    return [_row(month, unit, active_users) for month, active_users in zip(months, active, strict=True)]


def _row(month: int, unit: OrganizationSnapshot, active: int) -> UtilizationMonth:
    counts = unit.month_end(month)
    return UtilizationMonth(
        year=1970 + month // 12,
        month=month % 12,
        registered=counts.registered,
        deactivated=counts.deactivated,
        active=active,
        pending=counts.invited,
    )


def _first_kept(kept: Kept) -> int:
    """Return the first month all of whose days are kept."""
    if kept.first_day is None:
        return 0
    return month_of_day(kept.first_day) + (day_of_month(kept.first_day) > 0)


def _month(text: str) -> int:
    match = _START.fullmatch(text)
    if match is None or not 1 <= int(match[2]) <= 12:
        raise BadRange(_PARAMETER, "it must be a month such as 2025-01, from 01 (January) to 12")
    return (int(match[1]) - 1970) * 12 + int(match[2]) - 1


def _text(month: int) -> str:
    return f"{1970 + month // 12:04}-{month % 12 + 1:02}"
