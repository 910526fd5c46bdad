import json
from typing import Any

import pytest

from services.demo_tally import Tally, compare
from services.metrics_contract import PRODUCTS

pytestmark = pytest.mark.unit


def line(event_id: str, user: str = "ann", event_type: str = "usage.chat", **data: int | str) -> bytes:
    return json.dumps(
        {"id": event_id, "source": "s", "subject": user, "organizationid": "acme", "type": event_type, "data": data}
    ).encode()


def block(**changes: int) -> dict[str, Any]:
    """A usage block of the API as it is for the two events of `sent`."""
    zeros = {product.name: {"activeUsers": 0} | dict.fromkeys(product.counters, 0) for product in PRODUCTS}
    chat = {**zeros["chat"], "activeUsers": 1, "interactions": 2, "lines": 5, "chatConsumptionRate": 0.5} | changes
    return {**zeros, "activeUsers": 1, "chat": chat}


def sent() -> Tally:
    tally = Tally()
    tally.add_good(line("1", interactions=2, lines=1, model="m"))
    tally.add_good(line("2", user="bo", lines=4))
    return tally


def test_an_event_is_counted_once_and_its_copies_are_told_apart() -> None:
    tally = sent()
    assert tally.add_good(line("1", interactions=2, lines=1, model="m")) == "acme"
    tally.add_bad()
    assert (tally.lines, tally.copies, tally.bad) == (4, 1, 1)
    assert tally.organizations["acme"].events == 2
    assert tally.organizations["acme"].number("chat", "lines") == 5


def test_only_users_with_a_leading_count_are_active() -> None:
    assert sent().organizations["acme"].active_in_any() == 1
    assert sent().organizations["acme"].number("chat", "activeUsers") == 1


def test_an_answer_with_what_was_sent_is_equal() -> None:
    assert list(compare(sent().organizations["acme"], block())) == []


def test_a_number_that_is_not_what_was_sent_is_named() -> None:
    (row,) = compare(sent().organizations["acme"], block(lines=6))
    assert (row.name, row.sent, row.answered) == ("chat.lines", 5, 6)
