#!/bin/sh
# Make .venv from requirements/dev.lock and put the project into it. Run by `make setup`; quick where nothing changed.
# Where this machine cannot do it: one sentence that names the remedy, and code 1.
set -eu
cd "$(dirname "$0")/.."

refuse() {
    echo "setup: $1" >&2
    exit 1
}

# "3.13 ensurepip glibc 2.36 linux-x86_64": version, whether environments can be made, C library, processor.
probe() {
    "$1" -c '
import importlib.util as u, os, platform, sys, sysconfig
pip = "ensurepip" if u.find_spec("ensurepip") and u.find_spec("venv") else "bare"
try:
    libc = os.confstr("CS_GNU_LIBC_VERSION") or "musl 0"
except (AttributeError, OSError, ValueError):
    libc = "musl 0"
if sys.platform == "darwin":
    libc = "darwin 0"
system = "linux" if sys.platform.startswith("linux") else sys.platform
machine = sysconfig.get_platform().rpartition("-")[2]
print("%d.%d" % sys.version_info[:2], pip, libc, system + "-" + machine)
' 2>/dev/null
}

# Sets $python and $facts to the first that really runs and can make environments (a shim may exist and fail);
# otherwise $bare may name one that runs and lacks ensurepip.
choose() {
    python='' facts='' bare=''
    if [ -x .venv/bin/python ] && facts=$(probe .venv/bin/python); then
        case $facts in
            "3.11 ensurepip"* | "3.12 ensurepip"* | "3.13 ensurepip"*) python=.venv/bin/python; return ;;
        esac
    fi
    for version in 3.13 3.12 3.11; do
        facts=$(probe "python$version") || continue
        case $facts in
            "$version ensurepip "*) python=python$version; return ;;
            "$version bare "*) bare=${bare:-$version} ;;
        esac
    done
    facts=$(probe python3) || return 0
    case $facts in
        3.[0-9]\ * | 3.10\ * | 2.*) ;;
        *" bare "*) bare=${bare:-${facts%% *}} ;;
        *) python=python3 ;;
    esac
}

choose
if [ -z "$python" ] && [ -n "$bare" ]; then
    refuse "Python $bare cannot make environments here (no ensurepip); install python$bare-venv, then run make setup again."
fi
if [ -z "$python" ]; then
    refuse "no working Python 3.13, 3.12 or 3.11 was found; install one with its venv module (Debian: apt-get install python3.11-venv)."
fi

# shellcheck disable=SC2086  # the facts are words
set -- $facts
version=$1 libc=$3 libc_version=$4 platform=$5
case $platform in
    *-x86_64 | *-amd64 | *-aarch64 | *-arm64) ;;
    *) refuse "the embedded servers are built for x86_64 and aarch64, not for ${platform#*-}; use a machine or container of one of these." ;;
esac
if [ "$libc" = musl ]; then
    refuse "the embedded servers need glibc and this system has musl; use a glibc system (for example a Debian container)."
fi
case $libc_version in
    2.[0-9] | 2.1[0-9] | 2.2[0-7])
        refuse "the embedded servers need glibc 2.28 or later and this system has $libc_version; use a newer release (for example Debian 12)." ;;
esac
case $version in
    3.11 | 3.12 | 3.13) ;;
    *) echo "setup: Python $version is untested; 3.11 to 3.13 are tested." >&2 ;;
esac

stamp=.venv/.tidemark-setup
state=$(cksum requirements/dev.lock pyproject.toml deploy/setup.sh; echo "$version")
if [ -f "$stamp" ] && [ "$state" = "$(cat "$stamp")" ]; then
    exit 0
fi

echo "setup: making .venv with Python $version"
if [ "$python" != .venv/bin/python ]; then
    "$python" -m venv --clear .venv
fi
rm -f "$stamp"
install=".venv/bin/python -m pip --disable-pip-version-check install --quiet"
$install --require-hashes --requirement requirements/dev.lock
$install --no-deps --no-build-isolation --editable .
echo "$state" > "$stamp"
echo "setup: done"
