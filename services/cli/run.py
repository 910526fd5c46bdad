"""`tidemark run ROLE`: one role in this process."""

import importlib
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Final, cast

import typer

from services.environment import insist
from services.settings import DEVELOPMENT_SECRET, Settings
from services.settings_loading import WrongSettings, load_settings
from services.token_keys import accepts_secret


class Role(StrEnum):
    """What `run` can run."""

    INGEST = "ingest"
    AGGREGATOR = "aggregator"
    API = "api"
    CANARY = "canary"


MODULES: Final = {
    Role.INGEST: "ingest.__main__",
    Role.AGGREGATOR: "aggregator.__main__",
    Role.API: "query_api.__main__",
    Role.CANARY: "services.canary",
}
"""Looked up by name when called: the shared kit imports none of the roles (ADR 0001)."""


def run(
    role: Annotated[Role, typer.Argument(help="The role to run.", show_default=False)],
    development: Annotated[
        bool, typer.Option("--development", help="Accept the secrets that everybody knows; never in production.")
    ] = False,
    allow_rebuild: Annotated[
        bool,
        typer.Option(
            "--allow-rebuild",
            help="Aggregator: on an empty Redis, begin although the start of the frames is gone.",
        ),
    ] = False,
) -> None:
    """Run one role until SIGTERM or Ctrl-C; as many processes as you like of each.

    Settings come from TIDEMARK_* variables and the TOML file that TIDEMARK_CONFIG names. It exits with 0 after an
    ordered stop, 2 when a setting is wrong, 3 when it refuses to go on (one sentence says why), 4 when its watchdog
    found it stuck, 1 after a bug. `canary` publishes usage of an organization of its own and checks that the query API
    counts it exactly.

    Example: `TIDEMARK_EVENTS__IDENTITY_SECRET=… TIDEMARK_CONFIG=tidemark.toml tidemark run ingest`
    """
    if allow_rebuild:
        insist({"TIDEMARK_AGGREGATOR__ALLOW_REBUILD": "true"})
    settings = load_settings()
    if not development:
        refuse_known_secrets(role, settings)
    main = cast(Callable[[], int], importlib.import_module(MODULES[role]).main)
    raise typer.Exit(main())


def refuse_known_secrets(role: Role, settings: Settings) -> None:
    """Refuse a role that would rely on the secret that stands in the source.

    Raises:
        WrongSettings: with the variable to set.
    """
    if role in (Role.API, Role.CANARY):
        makes_none = role is Role.CANARY and settings.canary.api_token is not None
        if makes_none or not accepts_secret(settings.api):
            return
        secret, variable, use = settings.api.jwt_secret, "TIDEMARK_API__JWT_SECRET", "signs the API's tokens"
    else:
        secret, variable = settings.events.identity_secret, "TIDEMARK_EVENTS__IDENTITY_SECRET"
        use = "keys the identity hash"
    if secret.get_secret_value() == DEVELOPMENT_SECRET:
        raise WrongSettings(
            f"{variable} is the development secret, which everybody knows, and it {use}:"
            f" set one of your own (or name its file in {variable}_FILE), or pass --development to try out"
        )
