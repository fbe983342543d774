"""Every command of the command line, by its name."""

from __future__ import annotations

from typing import Annotated

import typer

from micronas.commands import boards, networks, targets
from micronas.run.outcome import versions

app = typer.Typer(
    name="micronas",
    help="Find the best convolutional network for your microcontroller, in a minute, without training.",
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

for command in (
    networks.search,
    networks.measure,
    networks.show,
    networks.scores,
    boards.profile,
    boards.calibrate,
    networks.indicators,
):
    app.command()(command)


app.add_typer(targets.app, name="targets")


def _print_version(asked: bool) -> None:
    if asked:
        print(" ".join(f"{name} {number}" for name, number in versions().items()))
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Without a command: the help."""
    if context.invoked_subcommand is None:
        print(context.get_help())
