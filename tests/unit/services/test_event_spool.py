import pytest

from services.event_spool import EventSpool

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("in_memory", [1, 1_000_000])
def test_what_goes_in_comes_out_in_order_with_any_bytes(monkeypatch: pytest.MonkeyPatch, in_memory: int) -> None:
    monkeypatch.setattr("services.event_spool.IN_MEMORY_BYTES", in_memory)
    records = [(b"acme", b"one\ntwo\0"), (b"", b""), ("ü".encode(), b"\xff" * 70_000)]
    with EventSpool() as spool:
        for key, value in records:
            spool.add(key, value)
        assert len(spool) == 3
        assert list(spool) == records
        assert list(spool) == records
