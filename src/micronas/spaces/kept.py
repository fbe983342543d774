"""What is found out about a whole space once, and kept on disk for the next run."""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from hashlib import blake2b

from micronas.cache import Arrays, cache_dir, keep_arrays, kept_arrays
from micronas.sources import version_of_class
from micronas.spaces.space import SearchSpace
from micronas.task import Task


def kept(space: SearchSpace, task: Task, what: str, module: str, make: Callable[[], Arrays]) -> Arrays:
    """The arrays that the code of `module` makes of a space for a task: from the cache, or made and kept there.

    `what` names them. They are made anew once the space, the task or any code that they come of has changed; and every
    time for a space whose `repr` says where it lies in memory, not what it is.
    """
    if type(space).__repr__ is object.__repr__:
        return _made(make)
    code = version_of_class(type(space), module)
    digest = blake2b(f"{space!r} {task!r} {what} {code}".encode(), digest_size=12).hexdigest()
    name = re.sub(r"\W", "_", space.name)
    path = cache_dir() / "spaces" / f"{name}-{what.split(maxsplit=1)[0]}-{digest}.arrays"
    if (found := kept_arrays(path)) is None:
        found = _made(make)
        keep_arrays(path, found)
    return found


def _made(make: Callable[[], Arrays]) -> Arrays:
    with _uncollected():
        return make()


@contextmanager
def _uncollected() -> Generator[None]:
    """Nobody looks for garbage meanwhile: of millions of small values, none refer to each other in circles.

    A quarter of the time, else.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
