"""What is installed, and what is missing: micronas doctor."""

from __future__ import annotations

from rich.text import Text

from micronas.cache import cache_dir
from micronas.commands.console import console, print_json
from micronas.commands.flags import AsJson
from micronas.extras import EXTRAS, how_to_install
from micronas.plugins import GROUPS, plugins
from micronas.run.outcome import versions
from micronas.views import parts


def doctor(as_json: AsJson = False) -> None:
    """Say what is installed, which extras are missing, what each would add, and how to add it."""
    found = [one for family in GROUPS for one in plugins(family).values()]
    if as_json:
        print_json(
            {
                "versions": versions(),
                "cache": str(cache_dir()),
                "extras": {one.name: {"adds": one.adds, "missing": one.missing} for one in EXTRAS},
                "plugins": [str(one) for one in found],
            }
        )
        return
    screen = console()
    screen.print(parts.heading("what is installed", "bold"))
    rows = [*versions().items(), ("caches in", str(cache_dir())), *(("plug-in", str(one)) for one in found)]
    screen.print(parts.indented(parts.facts(rows)))
    for one in EXTRAS:
        screen.print(parts.heading(f"the extra {one.name}"))
        there = [("missing", ", ".join(one.missing))] if one.missing else [("installed", ", ".join(one.modules))]
        screen.print(parts.indented(parts.facts([("adds", one.adds), *there])))
        if one.missing:
            screen.print(Text(f"  {how_to_install(one.name)}"), soft_wrap=True)
