from pathlib import Path

import pytest

from services.dead_letters import MEANINGS, Reason
from services.reasons_page import reasons_page

PAGE = Path(__file__).parents[3] / "deploy" / "docs" / "reason-codes.md"

pytestmark = pytest.mark.unit


def test_the_page_of_reason_codes_is_current_and_has_every_reason() -> None:
    command = "python -m services.reasons_page > deploy/docs/reason-codes.md"
    assert PAGE.read_text() == reasons_page(), f"run: {command}"
    assert set(MEANINGS) == set(Reason)
