"""Apache Kafka's jars: resolved once through Maven into a cache directory, named after the pom that asked for them."""

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

from tests.support.cached import cache_directory, filled

POM = Path(__file__).with_name("kafka") / "pom.xml"
_RESOLVE_SECONDS = 300
_OLDEST_JAVA = 17


class NoApacheKafka(Exception):
    """Apache Kafka cannot be had on this machine; the text is the remedy in one sentence."""


def kafka_version() -> str:
    found = re.search(r"<kafka\.version>(.+?)</kafka\.version>", POM.read_text())
    if found is None:
        raise NoApacheKafka(f"{POM.name} names no kafka.version")
    return found[1]


def java() -> Path:
    """Return a Java of version 17 or later, from JAVA_HOME or the PATH."""
    home = os.environ.get("JAVA_HOME")
    program = shutil.which("java", path=f"{home}/bin") if home else None
    program = program or shutil.which("java")
    if program is None:
        raise NoApacheKafka("install Java 17 or later (apt-get install openjdk-17-jre-headless)")
    written = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=30, check=False).stderr
    version = re.search(r'version "(\d+)', written)
    if version is None or int(version[1]) < _OLDEST_JAVA:
        raise NoApacheKafka(f"install Java {_OLDEST_JAVA} or later: this one says {written.splitlines()[:1]}")
    return Path(program)


def jar_directory() -> Path:
    """Where the jars are or will be; the directory exists only when it is complete."""
    digest = hashlib.sha256(POM.read_bytes()).hexdigest()[:8]
    return cache_directory() / f"kafka-{kafka_version()}-{digest}"


def check() -> None:
    """Raise NoApacheKafka where `resolve` and a broker on its jars could not work."""
    java()
    if not jar_directory().is_dir():
        _maven()


def _maven() -> str:
    program = shutil.which("mvn")
    if program is None:
        raise NoApacheKafka("install Maven (apt-get install maven), which fetches Apache Kafka once")
    return program


def resolve() -> Path:
    """Return the jar directory, filled through Maven the first time (54 MB)."""
    return filled(jar_directory().name, _copy_dependencies)


def _copy_dependencies(jars: Path) -> None:
    command = [_maven(), "--quiet", "--batch-mode", "--strict-checksums", "--file", str(POM)]
    goal = ["dependency:copy-dependencies", f"-DoutputDirectory={jars}"]
    done = subprocess.run([*command, *goal], capture_output=True, text=True, timeout=_RESOLVE_SECONDS, check=False)
    if done.returncode != 0 or not any(jars.glob("kafka_*.jar")):
        raise NoApacheKafka(f"Maven could not fetch Apache Kafka: {(done.stdout + done.stderr)[-2000:]}")
