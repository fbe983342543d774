"""A serial line that lies: what comes back is the truth or one clear error, never a wrong number."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micronas.errors import UserError
from micronas.mcu.checksum import crc16, pattern
from micronas.mcu.serial_board import BoardError, CountedRuns, SerialBoard

TRUTH = CountedRuns(3, 1000, 1010, 0xBEEF)
Lie = Callable[[bytes], list[bytes]]


def line(body: str) -> bytes:
    return f"{body}*{crc16(body.encode()):04x}\n".encode()


class Line:
    """A port behind which sits a board that answers truly; `lie` changes what of it arrives."""

    def __init__(self, lie: Lie, words: dict[str, str] | None = None) -> None:
        self.timeout: float | None = None
        self._lie = lie
        self._words = {
            "hello": "micronas 1 nucleo-f746zg 216000000 2 abc",
            "name": "name 0 add2 8x8x16",
            "run": "cycles 0 3 1000 1010 48879",
            **(words or {}),
        }
        self._arriving: list[bytes] = []
        self.closed = False

    def write(self, data: bytes, /) -> int:
        body, _, crc = data.decode().strip().partition("*")
        assert crc == f"{crc16(body.encode()):04x}"
        tag, word, *_ = body.split()
        self._arriving += self._lie(line(f"{tag} {self._words[word]}"))
        return len(data)

    def read_until(self, _expected: bytes = b"\n", _size: int | None = None, /) -> bytes:
        return self._arriving.pop(0) if self._arriving else b""

    def reset_input_buffer(self) -> None:
        self._arriving.clear()

    def close(self) -> None:
        self.closed = True


def board(lie: Lie, words: dict[str, str] | None = None) -> SerialBoard:
    return SerialBoard(Line(lie, words), "/dev/ttyACM0", answer_seconds=0.01)


def measure(each: SerialBoard) -> CountedRuns:
    return each.time(0, 3, at_most_seconds=0.01)


def once(lie: Lie) -> Lie:
    """Lies the first time only."""
    pending = [lie]
    return lambda answer: pending.pop()(answer) if pending else [answer]


LIES: dict[str, Lie] = {
    "nothing arrives": lambda _: [],
    "half a line": lambda answer: [answer[: len(answer) // 2]],
    "a digit changed": lambda answer: [answer.replace(b"1010", b"1011")],
    "a bit flipped": lambda answer: [answer[:5] + bytes([answer[5] ^ 4]) + answer[6:]],
    "two lines run together": lambda answer: [answer[:-1] + answer],
    "noise that is no text": lambda _: [b"\xff\xfe\x00*\n", b"*****\n", b"\n"],
    "another's answer": lambda _: [line("9999 cycles 0 3 1 1 1")],
    "the board heard noise": lambda _: [line("0 error garbled request")],
}


def test_a_true_line_is_believed() -> None:
    with board(lambda answer: [answer]) as each:
        assert measure(each) == TRUTH
        assert each.hello().clock_hz == 216_000_000
        assert each.expect("nucleo-f746zg", "abc").entries == 2


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
def test_a_lie_told_once_is_asked_again(lie: Lie) -> None:
    assert measure(board(once(lie))) == TRUTH


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
def test_a_lie_told_always_is_an_error_of_one_line(lie: Lie) -> None:
    with pytest.raises(BoardError, match=r"at /dev/ttyACM0 (does not answer|answers only noise)") as error:
        measure(board(lie))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("before", [b"boot\n", b"\x00\x00\n", line("7 error unknown request"), line("42 name 0 x")])
def test_noise_before_the_answer_is_passed_over(before: bytes) -> None:
    assert measure(board(lambda answer: [before, answer])) == TRUTH


@pytest.mark.parametrize(
    "answer",
    ["cycles 0 3 1010 1000 1", "cycles 1 3 1 1 1", "cycles 0 4 1 1 1", "cycles 0 3 1 1", "cycles 0 3 -1 1 1",
     "cycles 0 3 1e3 1 1", "cycles 0 3 1 1 70000", "name 0 x", "cycles 0 3 99999999999 99999999999 1",
     "cycles 0 3 1 4294967296 1"],
)  # fmt: skip
def test_an_answer_that_makes_no_sense_is_refused_though_its_checksum_is_right(answer: str) -> None:
    with pytest.raises(BoardError, match=r"answers 'run 0 3' with"):
        measure(board(lambda said: [said], {"run": answer}))


def test_a_counter_that_stands_still_times_nothing() -> None:
    with pytest.raises(BoardError, match="cycle counter of the board at /dev/ttyACM0 stands still"):
        measure(board(lambda said: [said], {"run": "cycles 0 3 0 0 48879"}))


@pytest.mark.parametrize(
    ("hello", "message"),
    [
        ("micronas 2 nucleo-f746zg 216000000 2 abc", "speaks protocol 2, not 1"),
        ("micronas 1 nucleo-f746zg fast 2 abc", "answers 'hello'"),
        ("OK", "answers 'hello'"),
        ("micronas 1 nucleo-f446re 180000000 2 abc", "is nucleo-f446re, not nucleo-f746zg"),
        ("micronas 1 nucleo-f746zg 216000000 2 def", "holds image def, not abc"),
    ],
)
def test_a_wrong_board_is_refused(hello: str, message: str) -> None:
    with pytest.raises(BoardError, match=message):
        board(lambda answer: [answer], {"hello": hello}).expect("nucleo-f746zg", "abc")


def test_a_line_that_drops_is_said() -> None:
    def drop(answer: bytes) -> list[bytes]:
        raise OSError("device disconnected")

    with pytest.raises(BoardError, match="the line to /dev/ttyACM0 dropped: device disconnected; plug it in"):
        measure(board(drop))


def test_the_port_is_closed_whatever_happens() -> None:
    port = Line(LIES["nothing arrives"])
    with pytest.raises(BoardError), SerialBoard(port, "x", 0.01) as each:
        each.hello()
    assert port.closed


@pytest.mark.parametrize("url", ["/dev/no-such-port", "socket://127.0.0.1:1", "nonsense://x"])
def test_a_port_that_cannot_be_opened_is_said(url: str) -> None:
    with pytest.raises(UserError, match=f"cannot open {url}"):
        SerialBoard.open(url)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**9))
def test_whatever_is_mangled_the_answer_is_the_truth_or_an_error(seed: int) -> None:
    rng = random.Random(seed)

    def mangle(answer: bytes) -> list[bytes]:
        content = bytearray(answer)
        for _ in range(rng.choice([0, 1, 1, 2, 5])):
            at = rng.randrange(len(content))
            match rng.randrange(4):
                case 0:
                    content[at] ^= 1 << rng.randrange(8)
                case 1:
                    del content[at]
                case 2:
                    content.insert(at, rng.randrange(256))
                case _:
                    content[at:at] = content[: rng.randrange(20)]
            if not content:
                break
        return [part + b"\n" for part in bytes(content).split(b"\n")]

    with contextlib.suppress(BoardError):
        assert measure(board(mangle)) == TRUTH


def test_checksum_and_pattern_are_the_published_ones() -> None:
    assert crc16(b"123456789") == 0x29B1  # CRC-16/CCITT-FALSE's check value
    assert pattern(1)[0] == (1 * 1664525 + 1013904223) % 2**32 >> 24  # Numerical Recipes' generator
