"""Commands about kept runs: runs, runs compare, runs delete, runs schema."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from micronas.commands.console import console, print_json, remark
from micronas.commands.flags import A_RUN, RUNS, AsJson, RunsFolder
from micronas.errors import UserError
from micronas.run import results
from micronas.run.outcome import Outcome
from micronas.views import terminal
from micronas.views.escaped import escaped, inert

app = typer.Typer(invoke_without_command=True)


@app.callback()
def runs(context: typer.Context, runs_folder: RunsFolder = RUNS, as_json: AsJson = False) -> None:
    """List kept runs, the latest first; compare or delete some."""
    if context.invoked_subcommand is not None:
        return
    found = {path.name: _read(path) for path in results.every(runs_folder)}
    if as_json:
        print_json([_listed(name, one) for name, one in found.items()])
    elif found:
        terminal.show_runs({name: _shown(one) for name, one in found.items()}, console())
    else:
        remark(f"no run in {runs_folder.absolute()}; 'micronas search' keeps one")


@app.command()
def compare(
    run: Annotated[list[str], typer.Argument(help=f"Two or more runs, each {A_RUN}.")],
    runs_folder: RunsFolder = RUNS,
    as_json: AsJson = False,
) -> None:
    """Show runs beside each other: what was asked differently, and what came of it."""
    paths = dict.fromkeys(results.locate(name, runs_folder) for name in run)
    if len(paths) < 2:
        raise UserError("a comparison needs two different runs; 'micronas runs' lists them")
    names = [_called(path) for path in paths]
    unique = names if len(set(names)) == len(names) else map(str, paths)
    found = {name: results.read_back(path) for name, path in zip(unique, paths, strict=True)}
    if as_json:
        print_json([{"name": name, **results.sealed(one)} for name, one in found.items()])
    else:
        terminal.differ({escaped(name): inert(one) for name, one in found.items()}, console())


@app.command()
def delete(
    run: Annotated[list[str], typer.Argument(help="Whole names, as 'micronas runs' lists them, or last.")],
    runs_folder: RunsFolder = RUNS,
) -> None:
    """Delete runs of the folder of runs, each with what was exported into it."""
    there = results.every(runs_folder)
    names = {path.name: path for path in there} | ({results.LAST: there[0]} if there else {})
    for name in run:
        if name not in names:
            raise UserError(f"there is no run {name!r} in {runs_folder.absolute()}, so nothing was deleted")
    for path in dict.fromkeys(names[name] for name in run):
        results.delete(path)
        remark(f"deleted {path}")


@app.command()
def schema() -> None:
    """Print the JSON schema of a run's result.json, which is also that of --json."""
    print(files("micronas.run").joinpath("result.schema.json").read_text(encoding="utf-8"), end="")


def _called(path: Path) -> str:
    """A run by its folder's name; a result file of another name by that."""
    return path.parent.name if path.name == results.RESULT else path.name


def _read(path: Path) -> Outcome | str:
    try:
        return results.read_back(path / results.RESULT)
    except UserError as error:
        return str(error)


def _shown(outcome: Outcome | str) -> Outcome | str:
    return outcome if isinstance(outcome, str) else inert(outcome)


def _listed(name: str, outcome: Outcome | str) -> dict[str, object]:
    if isinstance(outcome, str):
        return {"name": name, "error": outcome}
    needs = {
        f"{one}_{reading.unit}": reading.value
        for one in ("latency", "sram", "flash")
        if (reading := outcome.indicators.get(one))
    }
    said = {"search": outcome.search, "architecture": outcome.architecture, "verdict": outcome.verdict}
    return {"name": name, "target": outcome.target, **said, **needs}
