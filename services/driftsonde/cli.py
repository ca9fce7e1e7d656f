"""The command `driftsonde`. A command's own imports wait until it is called, so that a start is quick."""

import importlib
import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass

import click

from driftsonde import __version__

WRONG_USE = 2


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a command is, `module:name`, and what the overview says about it."""

    target: str
    summary: str


COMMANDS: Mapping[str, Entry] = {
    "audit": Entry("audit:audit", "Check that nobody changed the log of decisions."),
    "automation": Entry("automation:automation", "Stop or start what the controller does by itself."),
    "backtest": Entry("backtest:backtest", "Try another policy on windows that were judged."),
    "completion": Entry("completion:completion", "Complete commands in bash, zsh or fish."),
    "demo": Entry("demo:demo", "Show a real incident, found and handled."),
    "digest": Entry("digest:digest", "Print a hash of the results, for comparing two runs."),
    "doctor": Entry("doctor:doctor", "Check what the services need, and say how to mend it."),
    "explain": Entry("explain:explain_command", "Say what happened, since when, and why."),
    "lineage": Entry("lineage:lineage", "Say what a version was made of, and what was decided about it."),
    "migrate": Entry("migrate:migrate", "Bring the ClickHouse schema up to date."),
    "promote": Entry("promote:promote", "Bring a version to its next stage."),
    "register": Entry("register:register", "Register a model, and a version with its baseline."),
    "replay": Entry("replay:replay", "Judge a file of logged predictions."),
    "review": Entry("promote:review", "Approve of a version's next stage, or say what is done."),
    "rollout": Entry("rollout:rollout", "Send a new version on its way to champion, or back."),
    "settings": Entry("settings:settings", "List the environment variables of the services."),
    "standalone": Entry("standalone:standalone", "Run everything on this machine, without other servers."),
    "token": Entry("token:token", "Make a token of the controller's API."),
    "status": Entry("status:status", "Show how every model does."),
    "tail": Entry("tail:tail", "Show what is found as it comes."),
    "topics": Entry("topics:topics", "Make the Kafka topics."),
}


class LazyGroup(click.Group):
    """Knows its commands by name, and imports one when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module, _, name = entry.target.partition(":")
        command: click.Command = getattr(importlib.import_module(f"driftsonde.commands.{module}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name].summary) for name in self.list_commands(ctx)])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="driftsonde")
def cli() -> None:
    """Monitor machine-learning models in production, from the events that they emit."""


def main(arguments: list[str] | None = None) -> None:
    """Exit status: 0 done, 1 the world failed, 2 wrong use or bad input, 3 something is open (`status`), 130 interrupted; an
    error is one line on standard error."""
    logging.getLogger().addHandler(logging.NullHandler())  # what a client logs of an error is in that line
    try:
        # A number where a command ended with `ctx.exit`, as --help does.
        status = cli.main(arguments, prog_name="driftsonde", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(WRONG_USE)
    except click.UsageError as error:
        asked = f" `{error.ctx.command_path} --help` says how." if error.ctx else ""
        print(f"driftsonde: {error.format_message()}{asked}", file=sys.stderr)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        print(f"driftsonde: {error.format_message()}", file=sys.stderr)
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(130)
    sys.exit(status if isinstance(status, int) else 0)
