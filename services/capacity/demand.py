"""What is asked of a deployment, and what makes no sense. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from services.capacity.population import Sizes, sizes
from services.metrics_contract import PRODUCTS

DAYS_A_MONTH: Final = 365.25 / 12
DAY_S: Final = 86_400.0


class WrongDemand(Exception):
    """The demand contradicts itself; the message names each field at fault and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What a deployment is to hold.

    Attributes:
        events_per_second: average of all hours of all days.
        peak_per_second: of the busiest minutes.
        users, organizations, teams: who is active in a month, and where they belong.
        active_days: of a month on which a user has events.
        active_hours: of such a day in which they fall.
        product_shares: of the events, by the products' codes.
        copy_share: of the events, sent again.
        largest_share: of the events, the largest organization's; None where sizes fall as 1/rank.
        event_bytes: of a record with its key.
        id_length: characters of the ids of organizations, teams and users.
        keyed: whether producers key by organization, so that one partition of usage.events has all of its events.
        dead_letter_share: of the records.
        directory: whether every user has a record in the directory.
    """

    events_per_second: float
    peak_per_second: float
    users: int
    organizations: int
    teams: int
    active_days: float = 20.0
    active_hours: float = 8.0
    product_shares: Sequence[float] = (0.7, 0.2, 0.1, 0.0)
    copy_share: float = 0.01
    largest_share: float | None = None
    event_bytes: float = 363.0
    id_length: int = 36
    keyed: bool = True
    dead_letter_share: float = 0.001
    directory: bool = True

    def __post_init__(self) -> None:
        if faults := list(_faults(self)):
            raise WrongDemand("; ".join(faults))

    @property
    def sizes(self) -> Sizes:
        return sizes(self.organizations, self.largest_share)

    @property
    def counted_per_day(self) -> float:
        """Return the events of a mean day that change counters."""
        return self.events_per_second * DAY_S * (1 - self.copy_share) * (1 - self.dead_letter_share)

    @property
    def active_share(self) -> float:
        """Return the share of the users who are active on a mean day."""
        return self.active_days / DAYS_A_MONTH

    @property
    def events_a_user_day(self) -> float:
        """Return how many events a user has on a day with any."""
        return max(self.counted_per_day / (self.users * self.active_share), 1.0)


def _faults(of: Demand) -> Iterator[str]:
    """Yield a sentence for each field that makes no sense."""
    if of.peak_per_second < of.events_per_second:
        yield (
            f"peak ({of.peak_per_second:g} events/s) is below the average ({of.events_per_second:g}):"
            " give the rate of the busiest minutes, or leave it out"
        )
    if of.users < of.organizations:
        yield f"users ({of.users:,}) are fewer than organizations ({of.organizations:,}): each has at least one"
    if of.active_days > DAYS_A_MONTH:
        yield f"active-days ({of.active_days:g}) are more than a month has: give 1 to 30"
    if abs(sum(of.product_shares) - 1) > 1e-6 or len(of.product_shares) != len(PRODUCTS):
        yield f"mix must name a share of each of {len(PRODUCTS)} products"
    if of.largest_share is not None and of.largest_share * of.organizations < 1:
        yield (
            f"largest-organization ({of.largest_share:.2%}) is less than an equal share of {of.organizations:,}"
            f" organizations: give at least {1 / of.organizations:.4g}"
        )
    if of.counted_per_day < of.users * of.active_share:
        yield (
            f"users ({of.users:,} on {of.active_days:g} days a month) would have less than one event on an active day"
            f" at {of.events_per_second:g} events/s: lower users or active-days, or raise events"
        )
