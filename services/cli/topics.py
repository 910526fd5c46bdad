"""`tidemark topics create|check`: the four topics."""

from dataclasses import asdict

import typer

from services import topics
from services.cli.common import AsJson, StateFile, run, say, settings_for, write_json, write_table

app = typer.Typer(no_args_is_help=True, help="Create and check the four topics.")


@app.command()
def create(state_file: StateFile = None, as_json: AsJson = False) -> None:
    """Create the topics that are not there yet; an existing one is left as it is.

    Names, partition counts, retention and replication are settings (TIDEMARK_TOPICS__…). Kafka may still be
    starting: the command asks again for up to 60 s.

    Example: `TIDEMARK_KAFKA__BOOTSTRAP_SERVERS=kafka:9092 TIDEMARK_TOPICS__REPLICATION=3 tidemark topics create`
    """
    created = run(topics.create_missing(settings_for(state_file)))
    if as_json:
        write_json({"created": created})
    elif created:
        for name in created:
            say(f"created {name}")
    else:
        say("all four topics are there; `tidemark topics check` compares them with the settings")


@app.command()
def check(state_file: StateFile = None, as_json: AsJson = False) -> None:
    """Print each difference between the topics and the settings; exit with 1 when there is one.

    What the broker does not tell (not allowed, or an embedded broker) is listed as such and is no difference.
    """
    found = run(topics.check(settings_for(state_file)))
    differ = any(difference.known for difference in found)
    if as_json:
        write_json({"differences": [asdict(each) | {"known": each.known} for each in found]})
    elif found:
        rows = [(each.topic, each.key, each.wanted, each.found, each.remedy) for each in found]
        write_table("The topics and the settings differ", ("topic", "what", "wanted", "found", "remedy"), rows)
    else:
        say("all four topics are as the settings want them")
    if differ:
        raise typer.Exit(1)
