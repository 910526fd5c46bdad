"""Settings of the links: what fits together, what is refused in words, and that no address shows a password."""

import ssl
from pathlib import Path
from typing import Any

import pytest

from services.redis_client import connection_pool
from services.redis_permissions import is_forbidden, lacking
from services.settings_loading import WrongSettings, environment, load_settings
from tests.support.certificates import Authority

HIDDEN = "p@ss/word:never-shown"
QUOTED = "p%40ss%2Fword%3Anever-shown"


def said(overrides: dict[str, Any]) -> str:
    with pytest.raises(WrongSettings) as wrong:
        load_settings(overrides)
    assert "\n" not in str(wrong.value)
    return str(wrong.value)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.mark.parametrize(
    ("url", "shown", "username"),
    [
        (f"redis://someone:{QUOTED}@host:1/0", "redis://host:1/0", "someone"),
        (f"rediss://:{QUOTED}@host:1/3", "rediss://host:1/3", None),
        (f"unix://someone:{QUOTED}@/run/redis.sock?db=1", "unix:///run/redis.sock?db=1", "someone"),
    ],
)
def test_user_and_password_are_taken_out_of_the_address(url: str, shown: str, username: str | None) -> None:
    redis = load_settings({"redis": {"url": url}}).redis
    assert (redis.url, redis.username) == (shown, username)
    assert redis.password is not None
    assert redis.password.get_secret_value() == HIDDEN


def test_an_address_is_handed_on_without_its_password_where_secrets_are_not_wanted() -> None:
    ours = load_settings({"redis": {"url": f"redis://someone:{QUOTED}@host:1/0"}})
    assert HIDDEN not in str(environment(ours, secrets=False))
    assert QUOTED not in str(environment(ours, secrets=False))


@pytest.mark.parametrize(
    ("redis", "words"),
    [
        ({"url": "host:6379"}, "give an address such as redis://host:6379/0"),
        ({"url": f"http://me:{QUOTED}@host"}, "give an address such as redis://host:6379/0"),
        ({"url": f"redis://:{QUOTED}@host", "password": "x"}, "given too: give them once"),
        ({"url": f"redis://host?password={QUOTED}"}, "password is no part of the address here"),
        ({"url": "rediss://host?ssl_cert_reqs=none"}, "ssl_cert_reqs is no part of the address here"),
        ({"url": "redis://someone@host"}, "username is given without password"),
        ({"ssl_ca_file": "/x"}, "url does not begin with rediss://"),
    ],
)
def test_what_does_not_fit_together_for_redis_is_refused(redis: dict[str, str], words: str) -> None:
    sentence = said({"redis": redis})
    assert sentence.startswith("TIDEMARK_REDIS: ")
    assert words in sentence
    assert QUOTED not in sentence


@pytest.mark.parametrize(
    ("kafka", "words"),
    [
        ({"security_protocol": "SASL_SSL"}, "SASL_SSL needs sasl_username and sasl_password (or sasl_password_file)"),
        ({"security_protocol": "SASL_PLAINTEXT", "sasl_username": "me"}, "needs sasl_username and sasl_password"),
        ({"ssl_ca_file": "/x"}, "security_protocol is PLAINTEXT: set it to SSL or SASL_SSL"),
    ],
)
def test_what_does_not_fit_together_for_kafka_is_refused(kafka: dict[str, str], words: str) -> None:
    sentence = said({"kafka": kafka})
    assert sentence.startswith("TIDEMARK_KAFKA: ")
    assert words in sentence


LINKS = [{"kafka": {"security_protocol": "SSL"}}, {"redis": {"url": "rediss://host:1"}}]


@pytest.mark.parametrize("link", LINKS, ids=["kafka", "redis"])
def test_files_of_tls_are_looked_at_when_the_settings_are_loaded(
    link: dict[str, dict[str, Any]], authority: Authority, tmp_path: Path
) -> None:
    ours, other = authority.certificate("ours"), authority.certificate("other")
    no_pem = tmp_path / "no.pem"
    no_pem.write_text("no certificate")
    [(group, values)] = link.items()

    def told(**files: Path) -> str:
        return said({group: values | files})

    assert "ssl_ca_file names /nowhere, which cannot be read" in told(ssl_ca_file=Path("/nowhere"))
    assert "holds no certificate in PEM" in told(ssl_ca_file=no_pem)
    assert "ssl_key_file is given without ssl_certificate_file" in told(ssl_key_file=ours.key)
    assert "does not belong to" in told(ssl_certificate_file=ours.certificate, ssl_key_file=other.key)
    assert "hold no certificate with its key" in told(ssl_certificate_file=ours.certificate)
    load_settings({group: values | {"ssl_ca_file": authority.file, "ssl_certificate_file": ours.both}})


def test_only_the_authority_of_the_settings_is_trusted(authority: Authority) -> None:
    redis = load_settings({"redis": {"url": "rediss://host:1", "ssl_ca_file": authority.file}}).redis
    pool = connection_pool(redis, timeout_s=1, connections=1, name="tests", socket_timeout_s=1)
    context = pool.make_connection().ssl_context.get()  # type: ignore[no-untyped-call]
    assert context.cert_store_stats()["x509_ca"] == 1
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED


SCRIPT = "local a = 1\nredis.call('HGET', KEYS[1])\nwrite(command, flat)\nwrite('SADD', x)\n"


@pytest.mark.parametrize(
    ("answer", "commands"),
    [
        ("The user executing the script can't run this command or subcommand script: ab, on @user_script:2.", "HGET"),
        ("ERR Error running script: @user_script:3: @user_script: 3: -NOPERM no", "HGET or SADD"),
        ("-NOPERM somewhere", "HGET or SADD"),
    ],
)
def test_the_command_that_a_script_may_not_run_is_named(answer: str, commands: str) -> None:
    assert is_forbidden(answer)
    assert lacking("mine", SCRIPT, answer).startswith(f"the script mine may not run {commands} (")


def test_another_answer_forbids_nothing() -> None:
    assert not is_forbidden("ERR wrong number of arguments for 'hget' command")
