"""Every command of the command line, by its name."""

from __future__ import annotations

from typing import Annotated

import typer

from micronas.commands import boards, doctor, networks, runs, targets
from micronas.commands.console import voice
from micronas.run.outcome import versions

app = typer.Typer(
    name="micronas",
    help="Find the best convolutional network for your microcontroller, in a minute, without training.",
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)

for command in (
    networks.search,
    networks.measure,
    networks.show,
    networks.export,
    networks.scores,
    boards.profile,
    boards.calibrate,
    networks.indicators,
    doctor.doctor,
):
    app.command()(command)


app.add_typer(runs.app, name="runs")
app.add_typer(targets.app, name="targets")


def _print_version(asked: bool) -> None:
    if asked:
        print(f"micronas {versions()['micronas']}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    _version: Annotated[
        bool, typer.Option("-V", "--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Without a command: the help."""
    voice.quiet = voice.verbose = voice.answered = False
    if context.invoked_subcommand is None:
        print(context.get_help())
