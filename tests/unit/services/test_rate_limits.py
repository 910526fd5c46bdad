from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.rate_limits import Counted, Rate, read_rates
from services.settings_loading import WrongSettings, environment, load_settings


def token(requests: int, period_s: int) -> Rate:
    return Rate(counted=Counted.TOKEN, requests=requests, period_s=period_s)


def organization(requests: int, period_s: int) -> Rate:
    return Rate(counted=Counted.ORGANIZATION, requests=requests, period_s=period_s)


@pytest.mark.parametrize(
    ("text", "rates"),
    [
        ("100/second", [token(100, 1), organization(100, 1)]),
        ("20/second per token, 200/second per organization", [token(20, 1), organization(200, 1)]),
        ("200/minute per organization,20/minute per token", [token(20, 60), organization(200, 60)]),
        ("5/second per token, 1000/day per token", [token(5, 1), token(1000, 86_400)]),
        (" 1/hour per organization ", [organization(1, 3600)]),
    ],
)
def test_a_text_of_rates_is_read_with_the_tokens_first(text: str, rates: list[Rate]) -> None:
    assert list(read_rates(text)) == rates


WRONG = [
    "", "100", "100/s", "0/second", "-1/second", "1.5/second", "100 / second", "100/seconds", "100/second per user",
    "100/second;5/minute", "100/second,", ",", "100/second per token per organization", "99999999999/second", "fast",
    "１/second",  # noqa: RUF001  (a wide digit is none here)
]  # fmt: skip


@pytest.mark.parametrize("text", WRONG)
def test_any_other_text_stops_the_start_with_one_sentence_that_names_the_setting(text: str) -> None:
    with pytest.raises(WrongSettings) as wrong:
        load_settings({"api": {"rate_limit": text}})
    assert str(wrong.value).startswith("TIDEMARK_API__RATE_LIMIT: give a rate such as 100/second")
    assert "\n" not in str(wrong.value)


@given(st.text() | st.from_regex(r"[0-9]{1,3}/(second|day)( per (token|organization))?,?", fullmatch=True))
def test_what_is_read_can_be_kept(text: str) -> None:
    with suppress(ValueError):
        assert all(rate.requests >= 1 and rate.period_s >= 1 for rate in read_rates(text))


def test_without_the_setting_there_are_no_rates() -> None:
    assert load_settings().api.rate_limit is None
    assert load_settings({"api": {"rate_limit": "none"}}).api.rate_limit is None


def test_rates_reach_another_process_as_they_were_written() -> None:
    text = "20/second per token, 200/second per organization"
    variables = environment(load_settings({"api": {"rate_limit": text}}))
    assert variables == {"TIDEMARK_API__RATE_LIMIT": text}
