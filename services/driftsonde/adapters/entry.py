"""The command line of a service: --help, settings from the environment, logging, then the service itself."""

import os
import sys
from collections.abc import Callable

import click

from driftsonde import __version__
from driftsonde.adapters.logging_json import configure_logging
from driftsonde.adapters.settings import InvalidSetting, Settings, read_settings, unknown_variables


def entry_point(service: str, purpose: str, run: Callable[[Settings], None]) -> click.Command:
    """A command that runs the service with the settings of the environment; exit status 2 where one is wrong."""

    @click.command(
        name=f"driftsonde-{service}",
        help=f"{purpose}\n\nConfigured by DRIFTSONDE_* environment variables; `driftsonde settings` lists them.",
    )
    @click.version_option(__version__)
    def main() -> None:
        try:
            settings = read_settings(os.environ)
        except InvalidSetting as error:
            click.echo(str(error), err=True)
            sys.exit(2)
        configure_logging(service, settings.log.level)
        for name in unknown_variables(os.environ):
            click.echo(
                f"{name}: unknown setting, ignored; `driftsonde settings` lists the known ones", err=True
            )
        run(settings)

    return main
