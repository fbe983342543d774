"""Each operation alone in the emulator: positive, repeatable, complete; another runtime behind an adapter."""

from __future__ import annotations

from pathlib import Path

import pytest

from micronas.mcu import profile as profile_module
from micronas.mcu.cores import CORES
from micronas.mcu.memory import MemoryModel
from micronas.mcu.operators import NoKernelError
from micronas.mcu.pipelines import Cause
from micronas.mcu.profile import (
    BuiltKernels,
    UnsupportedOperationError,
    adapted_kernels,
    frame_cycles,
    our_kernels,
    time_operation,
    time_operations,
)
from micronas.mcu.toolchain import Toolchain
from micronas.network.signature import Kind, Signature

SHAPE = (6, 6, 8)
OPERATIONS = (
    Signature.square(Kind.CONV, SHAPE, SHAPE, 3, padding=(1, 1), relu_in=True),
    Signature.square(Kind.CONV, (6, 6, 3), SHAPE, 5, padding=(2, 2)),
    Signature.square(Kind.DEPTHWISE, SHAPE, SHAPE, 3, padding=(1, 1)),
    Signature.square(Kind.AVG_POOL, SHAPE, SHAPE, 3, padding=(1, 1)),
    Signature.square(Kind.MAX_POOL, SHAPE, (3, 3, 8), 2, 2),
    Signature(Kind.ADD, SHAPE, SHAPE, operands=3),
    Signature(Kind.GLOBAL_POOL, SHAPE, (1, 1, 8)),
    Signature(Kind.LINEAR, (1, 1, 8), (1, 1, 10)),
    Signature(Kind.RELU, SHAPE, SHAPE),
    Signature.square(Kind.PAD, SHAPE, (8, 8, 8), padding=(1, 1)),
)
SLOW_FLASH = MemoryModel.of_flash(
    wait_states=7, fetch_bytes=16, line_bytes=16, code_cache_bytes=0, data_cache_bytes=0, sram_line_cycles=5
)

ADAPTER = """
#include "micronas_adapter.h"
const char adapter_runtime[] = "toy";
const char adapter_version[] = "0.1";
void adapter_relu(const micronas_relu_params *p, const int8_t *input, int8_t *output, void *scratch) {
    (void)scratch;
    for (int32_t i = 0; i < p->size; i++) output[i] = input[i] < 0 ? 0 : input[i];
}
void adapter_add(const micronas_add_params *p, const int8_t *const *inputs, int8_t *output, void *scratch) {
    (void)scratch;
    for (int32_t i = 0; i < p->size; i++) {
        int32_t sum = 0;
        for (int32_t k = 0; k < p->operands; k++) sum += inputs[k][i];
        output[i] = (int8_t)(sum >> 2);
    }
}
"""


@pytest.fixture(scope="session")
def ours(toolchain: Toolchain) -> BuiltKernels:
    return our_kernels(toolchain, CORES["cortex-m7"])


@pytest.mark.parametrize("signature", OPERATIONS, ids=str)
def test_every_kind_of_operation_costs_cycles_and_leaves_its_result(ours: BuiltKernels, signature: Signature) -> None:
    timing = time_operation(ours, signature)
    assert timing.cycles > 0
    assert timing.untimed == ()
    assert timing.cycles == time_operation(ours, signature).cycles


def test_many_are_timed_as_one_by_one_and_progress_is_told(ours: BuiltKernels) -> None:
    told: list[tuple[int, int]] = []
    some = OPERATIONS[-4:]
    found = time_operations(ours, some, progress=lambda done, total: told.append((done, total)))
    assert found == {signature: time_operation(ours, signature).cycles for signature in some}
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_slow_memory_costs_and_streams(ours: BuiltKernels) -> None:
    for signature in OPERATIONS[:3]:
        slow, fast = time_operation(ours, signature, SLOW_FLASH), time_operation(ours, signature)
        assert slow.cycles > fast.cycles
        assert sum(slow.breakdown.values()) == pytest.approx(slow.cycles)
        assert slow.breakdown[Cause.CACHE_STREAM] > 0


def test_the_frame_grows_with_the_image_by_the_byte(ours: BuiltKernels) -> None:
    # a byte is loaded and stored: at least one cycle each on a core that pairs them, and no more than ten
    for input_bytes in (3072, 192):
        assert input_bytes < frame_cycles(ours, input_bytes) < 10 * input_bytes + 200
    small, middle, large = (frame_cycles(ours, input_bytes) for input_bytes in (192, 3072, 12288))
    assert (large - middle) / (12288 - 3072) == pytest.approx((middle - small) / (3072 - 192), rel=0.01)


def test_what_no_kernel_runs_is_an_error(ours: BuiltKernels) -> None:
    with pytest.raises(NoKernelError, match="batch_norm"):
        time_operation(ours, Signature(Kind.BATCH_NORM, SHAPE, SHAPE))


def test_another_runtime_is_timed_behind_an_adapter(toolchain: Toolchain, tmp_path: Path) -> None:
    source = tmp_path / "toy.c"
    source.write_text(ADAPTER, encoding="ascii")
    toy = adapted_kernels(toolchain, CORES["cortex-m7"], source)
    assert (toy.name, toy.version) == ("toy", "0.1")
    relu = Signature(Kind.RELU, SHAPE, SHAPE)
    assert 0 < time_operation(toy, relu).cycles < 4000
    two, four = (time_operation(toy, Signature(Kind.ADD, SHAPE, SHAPE, operands=count)).cycles for count in (2, 4))
    assert two < four
    with pytest.raises(UnsupportedOperationError, match="toy cannot run conv3x3/1 6x6x8 relu_in: its"):
        time_operation(toy, OPERATIONS[0])


@pytest.mark.parametrize(
    ("find", "replace", "complaint"),
    [
        ('const char adapter_version[] = "0.1";', "", "must define const char adapter_version"),
        ('"toy"', '"micronas"', "names our own kernels"),
        ("(void)scratch;", "(void)scratch", "cannot build"),
    ],
)
def test_a_wrong_adapter_is_one_line(
    toolchain: Toolchain, tmp_path: Path, find: str, replace: str, complaint: str
) -> None:
    source = tmp_path / "toy.c"
    source.write_text(ADAPTER.replace(find, replace, 1), encoding="ascii")
    with pytest.raises(profile_module.UserError) as failure:
        adapted_kernels(toolchain, CORES["cortex-m7"], source)
    assert complaint in str(failure.value)
    assert "\n" not in str(failure.value)
