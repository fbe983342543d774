"""What a search space is: choices in, a graph out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, Protocol

from micronas.errors import UserError
from micronas.network.deployed import deploy
from micronas.network.graph import Graph, Layers, check_plain
from micronas.network.live import live
from micronas.network.segments import Part, parts_of
from micronas.network.signature import Signature
from micronas.spaces.decisions import Choices
from micronas.task import Probe, Task
from micronas.texts import near_to, shown

SMALL = 1_000_000
"""Architectures of a space that is still small: only such a one is ever enumerated."""

Form = Literal["plain", "live", "deployed"]
"""A network as it is trained, what of it matters, and what runs on the chip."""


class ArchitectureError(UserError):
    """The text is no architecture of the space; the message says what is wrong and what is allowed."""


class OpenDecisions(UserError):
    """Choices that a space cannot draw, for layers of these decisions cannot lie side by side.

    Attributes:
        names: of the decisions.
    """

    def __init__(self, space: str, names: Sequence[str]) -> None:
        listed = ", ".join(names)
        super().__init__(f"{space} cannot draw the options of {listed} side by side; decide them first")
        self.names = tuple(names)


class SearchSpace(Protocol):
    """A family of networks: all that a search, an indicator or a board needs to know of it.

    A space of your own is a class that inherits from this one and has `name`, `everything` and `lower`; give it
    `parse` and `format` for a notation of its own. The rest has a default that holds for any space, and is there to
    be done better. Spaces are values: frozen, equal when they are the same, and their `repr` names all that their
    networks depend on.

    Laws (`tests/contracts/test_spaces.py`): `parse` undoes `format`; `canonical` keeps the live key and is
    idempotent; every completion of `everything()` lowers to a valid graph; a layer's name and signature together
    identify its weights, so that networks that have both in common share them.
    """

    @property
    def name(self) -> str:
        """What a user types."""
        ...

    def everything(self) -> Choices:
        """All options alive at every decision. Options are words without spaces.

        A decision that matters only after some answers of another one (a conditional decision) is there all the
        same; `canonical` gives one answer to it where it does not matter.
        """
        ...

    def lower(self, choices: Choices, task: Task) -> Graph:
        """The network of these choices: plain (trainable) layers, drawn with a `GraphBuilder`.

        An open decision becomes one branch for each option and a MEAN of them, where it can.

        Raises:
            OpenDecisions: a decision is open whose options cannot lie side by side; names all such.
            UserError: the task's pictures do not fit the network.
        """
        ...

    def probe(self, choices: Choices, probe: Probe) -> Graph:
        """The reduced network of these choices that an indicator judges; by default the network itself for its images.

        Images may be small: linear regions ask for 3x3 patches of one channel. A space whose networks halve the
        resolution more often than that allows draws something smaller here, such as one block (`probe.whole` False).

        Raises:
            OpenDecisions: as `lower`.
        """
        return self.lower(choices, probe.task)

    @property
    def size(self) -> int:
        """How many architectures there are."""
        return self.everything().size

    def sample(self, number: int) -> Choices:
        """The architecture of a number from 0 to size - 1; each is as likely as another when numbers are."""
        return self.everything().completion(number)

    def parse(self, text: str) -> Choices:
        """An architecture from its notation; by default its options, parted by spaces.

        Raises:
            ArchitectureError: it is none; the message says what is allowed.
        """
        return _parsed(self.name, self.everything(), text.split())

    def format(self, choices: Choices) -> str:
        """The notation of an architecture: one line; by default its options, parted by spaces."""
        return " ".join(option for (option,) in choices.alive)

    def canonical(self, choices: Choices) -> Choices:
        """The architecture that stands for all with the same network: the one of them that costs least deployed."""
        return choices

    def cheapest_form(self, choices: Choices) -> Choices:
        """The architecture that costs least deployed of all that compute the same function, where that is known."""
        return self.canonical(choices)

    def counts(self, choices: Choices, task: Task, form: Form) -> Counter[Signature]:
        """How often an architecture's network has each layer's signature, the image included, in one of its forms.

        By default it is lowered and counted; a space whose networks repeat a part can count that part once.

        Raises:
            Disconnected: no path leads from the input to the output, so nothing is live.
        """
        return Counter(layer.signature for layer in FORMS[form](self.lower(choices, task)))

    def parts(self, choices: Choices, task: Task) -> Counter[Part]:
        """How often an architecture's deployed network has each part, cut where one tensor is live.

        By default it is lowered and cut; see `counts`.

        Raises:
            Disconnected: as `counts`.
        """
        return Counter(parts_of(deploy(self.lower(choices, task))))

    def is_empty(self, choices: Choices) -> bool:  # noqa: ARG002 (other spaces need it)
        """Whether an architecture adds nothing to what is fixed, such as a cell of skip connections alone."""
        return False

    def smaller(self, task: Task) -> Iterable[tuple[str, SearchSpace, Task]]:  # noqa: ARG002
        """What else a user could ask for, so that all networks cost less: a flag, and the space and task it means.

        The decisions stay the same. Of each number that is fixed the gentlest change comes first. By default none.
        """
        return ()

    def describe(self, choices: Choices, task: Task) -> str:  # noqa: ARG002 (other spaces need them)
        """What a page says of the network beside its notation: what is fixed, and the task."""
        return str(task)

    def drawing(self, choices: Choices) -> str:  # noqa: ARG002
        """An architecture drawn with characters, a few lines of at most 70 columns; "" if it is not drawn."""
        return ""


def _plain(graph: Graph) -> Graph:
    check_plain(graph)
    return graph


FORMS: Mapping[Form, Callable[[Graph], Layers]] = {"plain": _plain, "live": live, "deployed": deploy}
"""How each form is made of the plain graph."""


def check_small(space: SearchSpace) -> None:
    """For whoever is about to enumerate a space.

    Raises:
        UserError: it is too large.
    """
    if space.size > SMALL:
        raise UserError(f"{space.name} is too large to enumerate, {space.size:,} networks; at most {SMALL:,} would do")


def _parsed(name: str, everything: Choices, words: Sequence[str]) -> Choices:
    if len(words) != len(everything.alive):
        raise ArchitectureError(
            f"an architecture of {name} has {len(everything.alive)} options parted by spaces, not {len(words)}; "
            f"e.g. {' '.join(options[0] for options in everything.alive)}"
        )
    for number, (word, options) in enumerate(zip(words, everything.alive, strict=True), 1):
        if word not in options:
            near = near_to(word, options)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise ArchitectureError(
                f"option {number} of {name}: unknown {shown(word)}; {hint}there are {', '.join(options)}"
            )
    return Choices(tuple((word,) for word in words))
