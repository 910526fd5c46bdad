"""How long a test may take that does not say it itself."""

import pytest


def allow(item: pytest.Item, seconds: float) -> None:
    """Give a test its time, unless it has a mark of its own; for the `pytest_itemcollected` of a folder's conftest."""
    if item.get_closest_marker("timeout") is None:
        item.add_marker(pytest.mark.timeout(seconds))
