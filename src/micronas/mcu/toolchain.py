"""C sources to an ELF for a Cortex-M, by a compiler that `pip` installs or by the user's own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

from micronas.cache import writing
from micronas.errors import UserError
from micronas.extras import how_to_install
from micronas.mcu.cores import Core
from micronas.mcu.layout import Layout

_LIBC = Path(__file__).parent / "libc"
_FLAGS = (
    "-std=c11",
    "-O3",
    "-g0",
    "-ffreestanding",
    "-ffunction-sections",
    "-fdata-sections",
    "-fno-common",
    "-fno-asynchronous-unwind-tables",
    "-fno-unwind-tables",
    "-fno-ident",
)
_ZIG_FLAGS = ("-fno-sanitize=undefined", "-Wno-unused-command-line-argument", "-nostartfiles", "-Wl,--gc-sections")
_NO_RUNTIME = ("-nostdlib",)
_MISSING_RUNTIME = re.compile(r"undefined symbol: __")  # a helper the compiler calls: a 64-bit division, a soft float
_GCC_FLAGS = ("-nostdlib", "-nostartfiles", "-Wl,--gc-sections", "-Wl,--build-id=none")
_GCC_RUNTIME = ("-lgcc",)


@dataclass(frozen=True)
class Build:
    """What to build: C files, where their headers are, and what the linker must keep.

    `include` folders are searched for headers; `defines` become `-DNAME=VALUE`; `flags` are added last, so that a
    later `-O2` wins (but zig's `-Os` drops all symbols). `keep` names the functions that must survive though nobody
    calls them, `entry` the ELF's entry point. `layout` places everything; `linker_script` (its text) replaces the
    layout's own.
    """

    sources: tuple[Path, ...]
    include: tuple[Path, ...] = ()
    defines: tuple[tuple[str, str | int], ...] = ()
    flags: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    entry: str | None = None
    layout: Layout = field(default_factory=Layout)
    linker_script: str | None = None

    def script(self) -> str:
        """The linker script's text."""
        names = " ".join(f'"{symbol}"' for symbol in self.keep)  # bare, ld reads "add" as a hexadecimal number
        roots = f"EXTERN({names})\n" if self.keep else ""
        return roots + (self.linker_script or self.layout.linker_script())

    def arguments(self) -> tuple[str, ...]:
        """What every compiler is told."""
        defines = (f"-D{name}={value}" for name, value in self.defines)
        include = (f"-I{folder}" for folder in (*self.include, _LIBC))
        entry = (f"-Wl,--entry={self.entry}",) if self.entry else ()
        return (*_FLAGS, *defines, *include, *self.flags, *entry, *map(str, self.sources), str(_LIBC / "libc.c"))

    def contents(self) -> Iterator[bytes]:
        """Every byte that can change the ELF: sources, and all headers beside them and in the include folders."""
        folders = {source.parent for source in self.sources} | set(self.include) | {_LIBC}
        headers = sorted(header for folder in folders for header in folder.glob("**/*.h"))
        for path in (*self.sources, *headers, _LIBC / "libc.c"):
            yield path.name.encode()
            yield _read(path)


@dataclass(frozen=True)
class Toolchain:
    """A cross compiler: `command` is how it is started; () is the `zig cc` of the optional dependency ziglang.

    A command that names zig gets zig's flags, any other one those of arm-none-eabi-gcc. `cache` is a folder for the
    ELFs built so far, by the hash of all that went in, and for zig's own cache: nothing is ever written beside the
    sources.
    """

    cache: Path
    command: tuple[str, ...] = ()

    def build(
        self,
        sources: Sequence[Path],
        core: Core,
        *,
        include: Sequence[Path] = (),
        defines: Mapping[str, str | int] | None = None,
        flags: Sequence[str] = (),
        keep: Sequence[str] = (),
        entry: str | None = None,
        layout: Layout | None = None,
        linker_script: str | None = None,
    ) -> Path:
        """The ELF of these C files for that core; see `Build` for the arguments.

        The same arguments give the same bytes, and the second time they come from the cache.

        Raises:
            UserError: no compiler, a source that cannot be read, or one that does not compile or link.
        """
        pairs = tuple(sorted((defines or {}).items()))
        build = Build(
            tuple(path.resolve() for path in sources),
            tuple(path.resolve() for path in include),
            pairs,
            tuple(flags),
            tuple(keep),
            entry,
            layout or Layout(),
            linker_script,
        )
        return self.build_from(build, core)

    def build_from(self, build: Build, core: Core) -> Path:
        """The ELF of a `Build`; `build` says the rest."""
        target = self.cache / "elf" / f"{self._key(build, core)}.elf"
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix="build-", dir=self.cache) as folder:
                self._compile(build, core, Path(folder)).replace(target)
        return target

    @cached_property
    def version(self) -> str:
        """The compiler's own first line about itself, for provenance.

        Raises:
            UserError: it cannot be started.
        """
        if self._is_zig:
            return "zig " + self._run([*self._command()[:-1], "version"]).stdout.strip()
        return self._run([*self._command(), "--version"]).stdout.splitlines()[0]

    def _compile(self, build: Build, core: Core, folder: Path) -> Path:
        script, elf = folder / "link.ld", folder / "build.elf"
        with writing(script):
            script.write_text(build.script(), encoding="ascii")
        command = [*self._command(), *self._machine(core), *build.arguments(), "-T", str(script), "-o", str(elf)]
        done = self._run([*command, *(_NO_RUNTIME if self._is_zig else _GCC_RUNTIME)])
        if self._is_zig and _MISSING_RUNTIME.search(done.stderr):
            done = self._run(command)  # zig builds its runtime for the core: seconds, so only if it is called
        if done.returncode != 0 or not elf.exists():
            raise UserError(_complaint(done.stderr, build, core))
        return elf

    def _key(self, build: Build, core: Core) -> str:
        digest = sha256(repr((self._command(), self.version, core, build.script())).encode())
        digest.update(repr((build.defines, build.flags, build.entry, _FLAGS, self._machine(core))).encode())
        for part in build.contents():
            digest.update(len(part).to_bytes(8, "little") + part)
        return digest.hexdigest()[:32]

    @property
    def _is_zig(self) -> bool:
        return not self.command or any("zig" in Path(word).name for word in self.command)

    def _command(self) -> tuple[str, ...]:
        if self.command:
            return self.command
        if find_spec("ziglang") is None:
            raise UserError(f"no cross compiler: {how_to_install('mcu')}, or name your own with --cc arm-none-eabi-gcc")
        return (sys.executable, "-m", "ziglang", "cc")

    def _machine(self, core: Core) -> tuple[str, ...]:
        if self._is_zig:
            return ("-target", core.zig_target, f"-mcpu={core.zig_cpu}", *_ZIG_FLAGS)
        return (*core.gcc_flags, *_GCC_FLAGS)

    def _run(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        zig = str(self.cache / "zig")
        environment = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": zig, "ZIG_LOCAL_CACHE_DIR": zig, "LC_ALL": "C"}
        try:
            return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        except OSError as error:
            raise UserError(f"cannot start the compiler {command[0]!r}: {error.strerror}") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error


def _complaint(stderr: str, build: Build, core: Core) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    wrong = next(
        (line for line in lines if "error" in line or "undefined" in line), lines[-1] if lines else "no output"
    )
    names = ", ".join(path.name for path in build.sources)
    return f"cannot build {names} for {core.name}: {wrong}"
