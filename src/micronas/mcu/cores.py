"""The processor cores we build for: what the compiler and the emulator must know of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from micronas.errors import UserError
from micronas.texts import shown


@dataclass(frozen=True)
class Core:
    """One Cortex-M core.

    `zig_target` and `zig_cpu` are what `zig cc` takes; `gcc_flags` what arm-none-eabi-gcc takes for the same machine
    code. `has_dsp`: SMLAD and its family (`__ARM_FEATURE_DSP`). `has_fpu`: single-precision registers, and with them
    the hard-float calling convention.
    """

    name: str
    zig_target: str
    zig_cpu: str
    gcc_flags: tuple[str, ...]
    has_dsp: bool
    has_fpu: bool


def _core(name: str, features: str, gcc_fpu: str | None, *, has_dsp: bool = True) -> Core:
    """`features`: zig's models leave out what an implementation may leave out; ours are of chips that have it."""
    abi = "eabihf" if gcc_fpu else "eabi"
    floats = (f"-mfpu={gcc_fpu}", "-mfloat-abi=hard") if gcc_fpu else ("-mfloat-abi=soft",)
    flags = (f"-mcpu={name}", "-mthumb", *floats)
    cpu = name.replace("-", "_") + features
    return Core(name, f"thumb-freestanding-{abi}", cpu, flags, has_dsp, gcc_fpu is not None)


CORES: Mapping[str, Core] = MappingProxyType(
    {
        core.name: core
        for core in (
            _core("cortex-m7", "+fp_armv8d16sp", "fpv5-sp-d16"),
            _core("cortex-m4", "+vfp4d16sp", "fpv4-sp-d16"),
            _core("cortex-m33", "+dsp+fp_armv8d16sp", "fpv5-sp-d16"),
            _core("cortex-m0plus", "", None, has_dsp=False),
        )
    }
)
"""Every core, by the name Arm's compilers give it."""


def core_named(name: str) -> Core:
    """The core of that name.

    Raises:
        UserError: there is none.
    """
    if name not in CORES:
        raise UserError(f"unknown core {shown(name)}; known: {', '.join(CORES)}")
    return CORES[name]
