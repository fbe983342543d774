"""What `import micronas` gives to call: `find` and `measure`. In a notebook they show how they get on."""

from __future__ import annotations

from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager

from micronas.commands import cell
from micronas.errors import UserError
from micronas.run import running
from micronas.run.asking import run_with
from micronas.run.outcome import Outcome
from micronas.run.run import Run
from micronas.search.search import Watch, unwatched
from micronas.texts import shown


def find(run: Run | None = None, watch: Watch | None = None, *, front: Sequence[str] = (), **asked: object) -> Outcome:
    """The best network within limits: `find(target="nucleo-f746zg", max_latency="300ms")`.

    Operations the board's table lacks are profiled, and kept for the user.

    Args:
        run: what holds where no keyword says otherwise; by default `Run()`.
        watch: told how far the search is: (done, total, what). By default a notebook shows it.
        front: also the Pareto front of the score and these indicators, which only exact search knows.
        asked: attributes of `Run`, and flags of `micronas search` with their values as texts.

    Raises:
        UserError: a name or a value that cannot be read, or something that is not there.
        Unreachable: no architecture meets the limits.
    """
    _check("run", run if run is not None else Run(), Run)
    _check("front", front, (list, tuple))
    with _watching(watch) as told:
        return running.search(run_with(run if run is not None else Run(), asked), told, front=front)


def measure(
    run: Run,
    architecture: str,
    watch: Watch | None = None,
    *,
    emulated: bool = False,
    port: str | None = None,
    only: Collection[str] | None = None,
) -> Outcome:
    """Judge one given architecture by every indicator.

    Args:
        run: the board, the skeleton, the seed.
        architecture: in the notation of the run's space.
        watch: told how far it is: (done, total, what). By default a notebook shows it.
        emulated: also build its firmware and run it from reset to halt.
        port: also time its firmware on the board at that serial port or pyserial URL.
        only: by these indicators; a latency alone needs no untrained network, so it is there at once.

    Raises:
        ArchitectureError: the text is no architecture of the run's space.
        UserError: something the run names is not there or cannot be read.
    """
    _check("run", run, Run)
    _check("architecture", architecture, str)
    with _watching(watch) as told:
        return running.measure(run, architecture, told, emulated=emulated, port=port, only=only)


def _check(name: str, given: object, kinds: type | tuple[type, ...]) -> None:
    """Refuse an argument of another kind.

    Raises:
        UserError: it is.
    """
    if not isinstance(given, kinds):
        wanted = " or ".join(kind.__name__ for kind in (kinds if isinstance(kinds, tuple) else (kinds,)))
        raise UserError(f"{name} must be a {wanted}, not {shown(given)}")


@contextmanager
def _watching(watch: Watch | None) -> Generator[Watch]:
    if watch is None and cell.in_notebook():
        with cell.progress() as told:
            yield told
    else:
        yield watch or unwatched
