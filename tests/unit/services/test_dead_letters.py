from services.dead_letters import (
    MEANINGS,
    DeadLetterOrigin,
    Reason,
    dead_letter_headers,
    original_headers,
    read_dead_letter_headers,
)

OWN = [("trace", b"\x00\xff"), ("trace", b"2"), ("ce_id", b"e-1")]


def test_every_reason_has_one_sentence() -> None:
    assert set(MEANINGS) == set(Reason)
    assert all(text.endswith(".") and "\n" not in text for text in MEANINGS.values())


def test_a_dead_letter_keeps_its_own_headers_and_adds_why_and_whence() -> None:
    headers = dead_letter_headers(OWN, Reason.NEGATIVE, "data.lines", "usage.events", 3, 12, 1_787_385_600_000)
    assert headers == [
        *OWN,
        ("tidemark-reason", b"negative"),
        ("tidemark-field", b"data.lines"),
        ("tidemark-topic", b"usage.events"),
        ("tidemark-partition", b"3"),
        ("tidemark-offset", b"12"),
        ("tidemark-rejected-at", b"1787385600000"),
    ]
    assert original_headers(headers) == OWN


def test_the_headers_are_read_back() -> None:
    for field in ("data.é", None):
        headers = dead_letter_headers(OWN, Reason.NOT_JSON, field, "t", 0, 5, 7)
        assert read_dead_letter_headers(headers) == DeadLetterOrigin(
            reason="not_json", field=field, topic="t", partition=0, offset=5, rejected_at_ms=7
        )


def test_of_a_record_refused_twice_the_last_refusal_counts() -> None:
    first = dead_letter_headers(OWN, Reason.NEGATIVE, "data.lines", "t", 0, 5, 7)
    second = dead_letter_headers(first, Reason.TOO_OLD, None, "t", 1, 6, 8)
    assert second[: len(first)] == first
    assert read_dead_letter_headers(second) == DeadLetterOrigin(
        reason="too_old", field=None, topic="t", partition=1, offset=6, rejected_at_ms=8
    )


def test_headers_that_are_no_dead_letters_give_nothing() -> None:
    whole = dead_letter_headers([], Reason.NEGATIVE, None, "t", 0, 5, 7)
    assert read_dead_letter_headers(OWN) is None
    for missing in range(len(whole)):
        assert read_dead_letter_headers(whole[:missing] + whole[missing + 1 :]) is None
    assert read_dead_letter_headers([*whole[:-1], ("tidemark-rejected-at", b"soon")]) is None


def test_a_fields_name_that_has_no_utf8_is_written_escaped() -> None:
    headers = dict(dead_letter_headers([], Reason.UNKNOWN_FIELD, "data.\ud800", "t", 0, 5, 7))
    assert headers["tidemark-field"] == b"data.\\ud800"
