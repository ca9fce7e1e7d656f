"""`driftsonde completion`"""

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print what makes SHELL complete commands and options with the Tab key.

    \b
    bash: echo 'eval "$(driftsonde completion bash)"' >> ~/.bashrc
    zsh:  echo 'eval "$(driftsonde completion zsh)"' >> ~/.zshrc
    fish: driftsonde completion fish > ~/.config/fish/completions/driftsonde.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None, "click knows these shells"
    click.echo(kind(ctx.find_root().command, {}, "driftsonde", "_DRIFTSONDE_COMPLETE").source())
