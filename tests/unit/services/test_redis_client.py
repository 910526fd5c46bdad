"""Which errors of Redis may pass and which will not; the texts are those that servers 6.2 to 8 answer."""

import pytest
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    MasterDownError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TimeoutError,
)

from services.counters import StoreRefused, StoreUnavailable
from services.redis_client import translated

IN_A_SCRIPT_OF_6_2 = "Error running script (call to f_0a1b): @user_script:25: @user_script: 25: "


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError("gone"),
        TimeoutError("no answer"),
        BusyLoadingError("loading the dataset"),
        ReadOnlyError("You can't write against a read only replica."),
        OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
        MasterDownError("Link with MASTER is down"),
        NoScriptError("No matching script."),
        ResponseError("BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."),
        ResponseError("NOREPLICAS Not enough good replicas to write. script: a8e0, on @user_script:1."),
        ResponseError("MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist"),
        ResponseError(f"{IN_A_SCRIPT_OF_6_2}-READONLY You can't write against a read only replica."),
        ResponseError(f"{IN_A_SCRIPT_OF_6_2}-NOREPLICAS Not enough good replicas to write."),
        ResponseError(f"{IN_A_SCRIPT_OF_6_2}-OOM command not allowed when used memory > 'maxmemory'."),
        ResponseError(f"{IN_A_SCRIPT_OF_6_2}-MISCONF Errors writing to the AOF file: No space left on device"),
        RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed"),
    ],
    ids=str,
)
def test_what_may_pass_is_unavailable(error: Exception) -> None:
    with pytest.raises(StoreUnavailable), translated():
        raise error


@pytest.mark.parametrize(
    "error",
    [
        ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"),
        ResponseError(f"{IN_A_SCRIPT_OF_6_2}WRONGTYPE Operation against a key holding the wrong kind of value"),
        ResponseError("MOVED 3999 127.0.0.1:6381"),
        ResponseError("unknown command 'EVALSHA'"),
        AuthenticationError("WRONGPASS invalid username-password pair"),
        RedisError("something else"),
    ],
    ids=str,
)
def test_what_will_not_pass_is_refused(error: Exception) -> None:
    with pytest.raises(StoreRefused), translated():
        raise error


def test_a_bug_of_our_own_is_not_translated() -> None:
    with pytest.raises(RuntimeError, match="no such thing"), translated():
        raise RuntimeError("no such thing")
