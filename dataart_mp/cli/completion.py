"""`dataart-mp completion`."""

import click
from click.shell_completion import get_completion_class

from dataart_mp.cli.message import PROGRAM, show_script

_VARIABLE = f"_{PROGRAM}_COMPLETE".replace("-", "_").upper()


@click.command(
    epilog="""\b
Examples:
  eval "$(dataart-mp completion bash)"                  # in ~/.bashrc
  eval "$(dataart-mp completion zsh)"                   # in ~/.zshrc, after compinit
  dataart-mp completion fish > ~/.config/fish/completions/dataart-mp.fish
""",
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a script that makes SHELL complete commands, options and files on Tab."""
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"this version of click does not support {shell}; upgrade click")
    root = click.get_current_context().find_root().command
    show_script(kind(root, {}, PROGRAM, _VARIABLE).source())
