"""The levels of a fold: events summed to members' hours and days, and these to their parents'. Pure.

A member is a user in an organization, or a user in a team; its parent is that organization or team. Each level is
summed from the one below, never from the events again: event -> member hour -> member day, member hour -> parent
hour, member day -> parent day. How rows group is worked out once, before it is known which events are copies.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aggregator.cells import Cells
from aggregator.rows import Grouping, grouped, joined
from services.frames import Column
from services.windows import HOURS_PER_DAY, Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """The four levels over the members of one kind.

    Attributes:
        parent: (members,) each member's parent.
        *_cells: what each level's rows stand for; scopes are members or parents.
        *_from: how the level's rows come from those of the level below (events for `member_hours_from`).
    """

    parent: Column
    member_hours: Cells
    member_days: Cells
    parent_hours: Cells
    parent_days: Cells
    member_hours_from: Grouping
    member_days_from: Grouping
    parent_hours_from: Grouping
    parent_days_from: Grouping


def chain(member: Column, parent: Column, hours: Column, products: Column) -> Chain:
    """Return the levels over events.

    Args:
        member: (events,) each event's member.
        parent: (members,) each member's parent.
        hours, products: (events,) of each event.
    """
    hours_from = grouped(joined([member, hours, products]))
    rows = hours_from.first
    member_hours = Cells(window=Window.HOUR, scopes=member[rows], numbers=hours[rows], products=products[rows])
    days_from, member_days = _upward(member_hours, member_hours.scopes, Window.DAY)
    parent_hours_from, parent_hours = _upward(member_hours, parent[member_hours.scopes], Window.HOUR)
    parent_days_from, parent_days = _upward(member_days, parent[member_days.scopes], Window.DAY)
    return Chain(
        parent=parent,
        member_hours=member_hours,
        member_days=member_days,
        parent_hours=parent_hours,
        parent_days=parent_days,
        member_hours_from=hours_from,
        member_days_from=days_from,
        parent_hours_from=parent_hours_from,
        parent_days_from=parent_days_from,
    )


def _upward(below: Cells, scopes: Column, window: Window) -> tuple[Grouping, Cells]:
    numbers = below.numbers // HOURS_PER_DAY if window is not below.window else below.numbers
    grouping = grouped(joined([scopes, numbers, below.products]))
    rows = grouping.first
    return grouping, Cells(window=window, scopes=scopes[rows], numbers=numbers[rows], products=below.products[rows])


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainSums:
    """Summed levels: `*_events` (rows,) live events, `*_counters` (rows, 9) amounts."""

    member_hour_events: Column
    member_hour_counters: Column
    member_day_events: Column
    member_day_counters: Column
    parent_hour_events: Column
    parent_hour_counters: Column
    parent_day_events: Column
    parent_day_counters: Column


def sum_up(levels: Chain, live: npt.NDArray[np.bool_], counters: Column) -> ChainSums:
    """Return the sums over the live events; `counters` is (events, 9)."""
    lively = live.astype(np.int64)
    hour_events = levels.member_hours_from.sums(lively)
    hour_counters = levels.member_hours_from.sums(counters * lively[:, None])
    day_events = levels.member_days_from.sums(hour_events)
    day_counters = levels.member_days_from.sums(hour_counters)
    return ChainSums(
        member_hour_events=hour_events,
        member_hour_counters=hour_counters,
        member_day_events=day_events,
        member_day_counters=day_counters,
        parent_hour_events=levels.parent_hours_from.sums(hour_events),
        parent_hour_counters=levels.parent_hours_from.sums(hour_counters),
        parent_day_events=levels.parent_days_from.sums(day_events),
        parent_day_counters=levels.parent_days_from.sums(day_counters),
    )
