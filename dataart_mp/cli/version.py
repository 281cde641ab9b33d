"""`dataart-mp version`."""

import platform

import click

from dataart_mp import __version__, compiled
from dataart_mp.cli.message import show, show_json


@click.command(
    epilog="""\b
Example:
  dataart-mp version --json
"""
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def version(as_json: bool) -> None:
    """Print the versions of dataart-mp, Python and the operating system.

    "compiled" means that emit_action and emit_actions are in use as compiled C code, "pure Python"
    that they are not.
    """
    versions: dict[str, str | bool] = {
        "dataart-mp": __version__,
        "compiled": compiled,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }
    if as_json:
        show_json(versions)
    else:
        kind = "compiled" if compiled else "pure Python"
        show("dataart-mp {dataart-mp} ({kind}, {python}, {system})".format(**versions, kind=kind))
