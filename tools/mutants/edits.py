"""Which edits make a mutant, and how a sample of them is drawn."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property
from pathlib import Path
from typing import Any

from cosmic_ray.ast import ast_nodes, get_ast  # pyright: ignore[reportMissingImports]
from cosmic_ray.mutating import mutate_code  # pyright: ignore[reportMissingImports]
from cosmic_ray.operators.provider import OperatorProvider  # pyright: ignore[reportMissingImports]
from tools.mutants.rooms import is_compiled

LEAST, COMPILED = 4, 2
"""Mutants of each module that has as many places, and of one that is compiled; the rest of a sample goes by size."""

# Replacements that only a test can tell from the truth: arithmetic stays arithmetic, bits stay bits, an order moves by
# its bound or turns round. cosmic-ray's other pairs are a TypeError wherever they run (`a >> b` of floats, `a < b` of
# shapes), which any test kills, or the same program (`is` for `==` between small numbers).
_BINARY = (
    *("Add_Sub", "Add_Mul", "Sub_Add", "Mul_Add", "Mul_FloorDiv", "Div_Mul", "Div_FloorDiv", "FloorDiv_Div"),
    *("FloorDiv_Mul", "Mod_FloorDiv", "Mod_Mul", "Pow_Mul", "LShift_RShift", "RShift_LShift", "BitOr_BitAnd"),
    *("BitAnd_BitOr", "BitXor_BitOr"),
)
_COMPARISONS = (
    *("Eq_NotEq", "NotEq_Eq", "Is_IsNot", "IsNot_Is", "Lt_LtE", "Lt_GtE", "LtE_Lt", "LtE_Gt", "Gt_GtE", "Gt_LtE"),
    *("GtE_Gt", "GtE_Lt"),
)
# VariableReplacer and VariableInserter are left out: they draw numbers that no seed of ours repeats.
OPERATORS = (
    *("NumberReplacer", "AddNot", "ReplaceTrueWithFalse", "ReplaceFalseWithTrue", "ReplaceAndWithOr"),
    *("ReplaceOrWithAnd", "ReplaceBreakWithContinue", "ReplaceContinueWithBreak", "ZeroIterationForLoop"),
    *("ExceptionReplacer", "RemoveDecorator", "ReplaceUnaryOperator_Delete_USub"),
    *("ReplaceUnaryOperator_Delete_Not", "ReplaceUnaryOperator_Delete_Invert"),
    *(f"ReplaceBinaryOperator_{pair}" for pair in _BINARY),
    *(f"ReplaceComparisonOperator_{pair}" for pair in _COMPARISONS),
)

_DECORATORS = ("cache", "lru_cache", "wraps", "override", "final", "overload", "abstractmethod", "runtime_checkable")
"""Without these a program computes the same."""

_GUARDS = ("strict", "maxsize", "digest_size", "repr", "nogil", "covariant", "contravariant")
"""Keyword arguments that change nothing in a program that is right."""

_TUNING = (
    *("_AT_ONCE", "_ATTEMPTS", "_BEGINNINGS", "_BITS", "_CHUNK", "_COMPARED", "_EACH_S", "_FEW", "_MANY", "_PARTS"),
    *("_PATIENCE_S", "_SAMPLED", "_SEEN", "LANES", "LARGEST_BYTES", "LONG_S", "MOST_DRAWN", "STATES"),
)
"""Constants that decide how long something takes, or may take, and when progress is told."""


@dataclass(frozen=True)
class Mutant:
    """An operator of cosmic-ray, applied where it can be for the so-manieth time in a file, and what it changes."""

    path: str
    operator: str
    occurrence: int
    line: int
    old: str
    new: str


@dataclass(frozen=True)
class Source:
    """A module of a checkout, to be mutated."""

    root: Path
    path: str

    @cached_property
    def text(self) -> str:
        """What stands in the file."""
        return (self.root / self.path).read_text(encoding="utf-8")

    @cached_property
    def places(self) -> list[list[tuple[str, int]]]:
        """Where something can be edited: for each place, every (operator, occurrence) there."""
        counts: Counter[str] = Counter()
        found: dict[tuple[object, object], list[tuple[str, int]]] = {}
        for node in ast_nodes(get_ast(self.text)):
            for name, operator in _OPERATORS.items():
                for place in operator.mutation_positions(node):
                    if not _only_says(node):
                        found.setdefault(place, []).append((name, counts[name]))
                    counts[name] += 1
        return list(found.values())

    def edited(self, operator: str, occurrence: int) -> str:
        """The text of a mutant."""
        return str(mutate_code(self.text, _OPERATORS[operator], occurrence))

    def mutant(self, operator: str, occurrence: int) -> Mutant | None:
        """A mutant, unless the edit leaves things as they are or makes no Python."""
        edited = self.edited(operator, occurrence)
        try:
            compile(edited, self.path, "exec")
        except SyntaxError:
            return None
        before, after = self.text.splitlines(), edited.splitlines()
        changes = SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
        changed = [(slice(i, j), slice(k, end)) for tag, i, j, k, end in changes if tag != "equal"]
        lines = [number for old, _ in changed for number in range(old.start, old.stop) if before[number].strip()]
        if not lines:
            return None
        new = [line.strip() for _, new in changed for line in after[new]]
        old = [before[number].strip() for number in lines]
        return Mutant(self.path, operator, occurrence, lines[0] + 1, " ".join(old), " ".join(new).strip())

    def sample(self, count: int, seed: int) -> list[Mutant]:
        """As many mutants, each of another place; one of a place's edits is as likely as another."""
        chance = random.Random(f"{seed} {self.path}")
        drawn: list[Mutant] = []
        for place in chance.sample(self.places, len(self.places)):
            edits = (self.mutant(*edit) for edit in chance.sample(place, len(place)))
            drawn += [mutant for mutant in edits if mutant is not None][:1]
            if len(drawn) >= count:
                break
        return drawn[:count]

    def again(self, mutant: Mutant) -> Mutant | None:
        """A mutant of an earlier text in today's: the same edit of the same line, nearest to where it stood."""
        edits = (edit for place in self.places for edit in place if edit[0] == mutant.operator)
        made = [each for edit in edits if (each := self.mutant(*edit)) is not None]
        same = [each for each in made if (each.old, each.new) == (mutant.old, mutant.new)]
        return min(same, key=lambda each: abs(each.line - mutant.line), default=None)


def sampled(sources: Sequence[Source], count: int, seed: int) -> list[Mutant]:
    """About so many mutants of all modules: `LEAST` of each, the rest by size, but only `COMPILED` of a compiled one.

    First places are drawn, then an edit at each: else a `+` with several replacements would count several times as
    much as a row of a table.
    """
    counts = {source: min(COMPILED if is_compiled(source.path) else LEAST, len(source.places)) for source in sources}
    spare = {source: len(source.places) - counts[source] for source in sources if not is_compiled(source.path)}
    share = max(0, count - sum(counts.values())) / max(1, sum(spare.values()))
    return [
        mutant
        for source in sources
        for mutant in source.sample(counts[source] + round(share * spare.get(source, 0)), seed)
    ]


_provider: Any = OperatorProvider()
_OPERATORS: dict[str, Any] = {name: _provider[name]() for name in OPERATORS}


def _only_says(node: Any) -> bool:
    """Whether a part of a program computes nothing: annotations, errors, guards, tuning, protocols."""
    if node.type == "decorator":
        name = node.children[1].get_code().partition("(")[0].strip().rpartition(".")[2]
        if name in _DECORATORS or (name == "dataclass" and not _has_fields(node)):
            return True
    while (around := node.parent) is not None:
        match around.type:
            case "raise_stmt" | "decorator" | "tfpdef":
                return True
            case "annassign" if node is around.children[1]:
                return True
            case "funcdef" if node is around.annotation:
                return True
            case "argument" if around.children[0].get_code().strip() in _GUARDS:
                return True
            case "expr_stmt" if around.children[0].get_code().strip() in _TUNING:
                return True
            case "classdef" if "Protocol" in getattr(around.get_super_arglist(), "get_code", str)():
                return True
            case "if_stmt" if around.children[1].get_code().strip() == "TYPE_CHECKING":
                return True
            case _:
                node = around
    return False


def _has_fields(decorator: Any) -> bool:
    """Whether a decorated class names fields of its own; without, `@dataclass` says again what its base said."""
    decorated = decorator.parent
    while decorated.type != "decorated":
        decorated = decorated.parent
    body = decorated.children[-1].children[-1]
    return any(part.type == "annassign" for line in body.children for part in getattr(_statement(line), "children", ()))


def _statement(line: Any) -> Any:
    """What stands on a line of a class."""
    return line.children[0] if line.type == "simple_stmt" else line
