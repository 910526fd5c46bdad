"""How uvloop says that the other side of a connection has hung up, when something is written before it was noticed."""

from typing import Final

_WORDS: Final = "the handler is closed"


def is_hang_up(error: RuntimeError) -> bool:
    return str(error).endswith(_WORDS)
