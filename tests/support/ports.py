"""Free TCP ports on the loopback address, and who listens on them."""

import itertools
import os
import socket
from contextlib import suppress
from pathlib import Path
from random import SystemRandom

LOOPBACK = "127.0.0.1"
# Below those that the kernel gives to whoever connects, or listens on any port: they are taken by nobody meanwhile.
_PORTS = range(12_000, 32_000)
# In turn, so that none is given out again before its server listens; not by `random`, which each test begins anew.
_turns = itertools.count(SystemRandom().randrange(len(_PORTS)))
_LISTEN = "0A"


def free_ports(count: int) -> list[int]:
    """Return different ports that nobody listens on now; a stranger may still take one before its server does."""
    in_turn = (_PORTS[turn % len(_PORTS)] for turn in _turns)
    return list(itertools.islice(filter(_is_free, in_turn), count))


def _is_free(port: int) -> bool:
    with socket.socket() as asking:
        try:
            asking.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def listens(pid: int, port: int) -> bool:
    """Whether this very process listens on the port: an answer from a stranger who took it must not count."""
    return bool(_listening_inodes(port) & _socket_inodes(pid))


def _listening_inodes(port: int) -> set[str]:
    wanted = f"{port:04X}"
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for row in _lines(Path(table)):
            fields = row.split()
            if fields[1].endswith(":" + wanted) and fields[3] == _LISTEN:
                found.add(fields[9])
    return found


def _lines(table: Path) -> list[str]:
    try:
        return table.read_text().splitlines()[1:]
    except OSError:  # no IPv6 in this kernel
        return []


def _socket_inodes(pid: int) -> set[str]:
    found = set()
    with suppress(OSError), os.scandir(f"/proc/{pid}/fd") as entries:  # the process may have ended
        for entry in entries:
            with suppress(OSError):  # or closed the file since it was listed
                target = str(Path(entry.path).readlink())
                if target.startswith("socket:["):
                    found.add(target[8:-1])
    return found
