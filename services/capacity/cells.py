"""How many cells events come to: expected numbers of distinct things that so many events touch. Pure.

A cell is one (scope, window, product). Events fall on cells like balls in boxes, so that the number of cells is that
of boxes with a ball: for a box that gets m events on average, 1 - e^-m of a box.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, expm1
from typing import Final

import numpy as np

from services.capacity.redis_sizes import Numbers
from services.metrics_contract import PRODUCTS

COUNTERS: Final = np.array([len(product.counters) for product in PRODUCTS], dtype=np.float64)

AMOUNTS: Final = np.array([150.0, 32_000.0, 200_000.0, 2.0])
"""Largest counter of one event, by product: characters, micros and micros of the simulated events, accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """What one scope has in one period: `count` of fields, and `value` bytes of a packed value on average."""

    count: Numbers
    value: Numbers


def touched(mean_events: float | Numbers) -> Numbers:
    """Return the chance that something with so many events on average has any."""
    return -np.expm1(-np.asarray(mean_events, dtype=np.float64))


def rate_given_any(mean: float) -> float:
    """Return the m of a Poisson number whose mean is `mean`, at least 1, given that it is not 0."""
    if mean <= 1.0001:
        return 2 * (mean - 1) + 1e-6
    low, high = 0.0, mean
    for _ in range(80):
        middle = (low + high) / 2
        if middle / -expm1(-middle) < mean:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def user_fields(events_a_day: float, shares: Sequence[float], hours: float, days: float) -> tuple[Fields, Fields]:
    """Return what a user has in the hours of an active day, and in the days of a month with so many active ones."""
    mean = rate_given_any(events_a_day)
    any_at_all = 1 - exp(-mean)
    of_product = mean * np.asarray(shares)
    in_hours = hours * touched(of_product / hours) / any_at_all
    in_days = touched(of_product) / any_at_all
    return _fields(in_hours, of_product / any_at_all), _fields(in_days * days, of_product * days / any_at_all)


def scope_fields(events_a_day: Numbers, shares: Sequence[float], hours: float, days: float) -> tuple[Fields, Fields]:
    """Return the same of scopes with many users, by their events on a mean day: for a day's hours, and a month."""
    of_product = np.asarray(events_a_day)[:, None] * np.asarray(shares)
    in_hours = hours * touched(of_product / hours)
    in_days = days * touched(of_product)
    return _fields(in_hours, of_product), _fields(in_days, of_product * days)


def _fields(cells: Numbers, events: Numbers) -> Fields:
    """Return fields, given cells and events of each product (last axis)."""
    each = np.where(cells > 0, events / np.maximum(cells, 1e-12), 0.0)
    widths = np.clip(np.ceil(np.log(np.maximum(each * AMOUNTS, 1.0) + 1) / np.log(256)), 1, 7)
    count = cells.sum(axis=-1)
    value = ((1 + COUNTERS * widths) * cells).sum(axis=-1) / np.maximum(count, 1e-12)
    return Fields(count=count, value=value)
