"""The host's side of a board on a serial port: asks an image what it can time, and times it.

The protocol is at the top of `firmware/serial.c`. A line that is lost, garbled or not ours is asked
for again; what cannot be trusted is an error of one line, never a number.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from micronas.errors import UserError
from micronas.extras import how_to_install
from micronas.mcu.checksum import crc16
from micronas.mcu.port import opened, why
from micronas.texts import shown

BAUD = 115_200
RUNS = 11
"""Counted runs of each entry, after one that is not counted."""

MOST_RUNS = 101
MOST_ENTRIES = 10_000
"""Names that are asked for: no image has more, whatever a board says."""

_PROTOCOL = "1"
_ATTEMPTS = 4
_ANSWER_SECONDS = 2.0
_LONGEST_LINE = 400


class BoardError(UserError):
    """The board does not answer, answers nonsense, or is not the one expected."""


class Port(Protocol):
    """The part of pyserial's `Serial` that is used; `timeout` is in seconds."""

    timeout: float | None

    def read_until(self, expected: bytes = b"\n", size: int | None = None, /) -> bytes:
        """Bytes up to and with `expected`, or fewer when `size` or the timeout is met."""
        ...

    def write(self, data: bytes, /) -> int | None:
        """Send bytes."""
        ...

    def reset_input_buffer(self) -> None:
        """Forget what arrived."""
        ...

    def close(self) -> None:
        """Give the port back."""
        ...


@dataclass(frozen=True)
class Hello:
    """Who answers: the board's name, its core clock, how many entries its image times, and which image."""

    board: str
    clock_hz: int
    entries: int
    image: str


@dataclass(frozen=True)
class CountedRuns:
    """Core cycles of one entry, measured by the board's own counter: the least and the median of `runs`.

    `output_crc` is the checksum of what it computed.
    """

    runs: int
    least_cycles: int
    median_cycles: int
    output_crc: int


class SerialBoard:
    """A board that runs a serial image; a context manager that closes the port."""

    def __init__(self, port: Port, url: str, answer_seconds: float = _ANSWER_SECONDS) -> None:
        self._port = port
        self._url = url
        self._answer_seconds = answer_seconds
        self._tag = 0

    @classmethod
    def open(cls, url: str) -> Self:
        """A board at a serial port (`/dev/ttyACM0`, `COM3`) or any pyserial URL (`socket://localhost:1234`).

        Raises:
            BoardError: it cannot be opened.
            UserError: pyserial is not installed.
        """
        try:
            port: Port = opened(url, BAUD, _ANSWER_SECONDS)
        except ImportError as error:
            raise UserError(f"a board needs pyserial: {how_to_install('mcu')}") from error
        except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:  # its own error is an OSError
            raise BoardError(f"cannot open {url}: {why(url, error)}") from error
        return cls(port, url)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._port.close()

    def hello(self) -> Hello:
        """Who answers.

        Raises:
            BoardError: nobody does, or something that does not speak this protocol.
        """
        words = self._ask("hello").split()
        if len(words) != 6 or words[0] != "micronas":
            raise self._nonsense("hello", " ".join(words))
        if words[1] != _PROTOCOL:
            raise BoardError(
                f"the board at {self._url} speaks protocol {shown(words[1])[1:-1]}, not {_PROTOCOL}: flash it again"
            )
        clock_hz, entries = self._numbers("hello", words[3:5])
        return Hello(words[2], clock_hz, entries, words[5])

    def expect(self, board: str, image: str) -> Hello:
        """Who answers, if it is that board with that image.

        Raises:
            BoardError: it is another one; nothing was measured.
        """
        found = self.hello()
        if found.board != board:
            raise BoardError(
                f"the board at {self._url} is {shown(found.board)[1:-1]}, not {board}; "
                "choose its own name or its own port"
            )
        if found.image != image:
            raise BoardError(
                f"the board at {self._url} holds image {shown(found.image)[1:-1]}, not {image}: "
                "flash the one that was just written"
            )
        return found

    def names(self) -> tuple[str, ...]:
        """What the image can time.

        Raises:
            BoardError: as `hello`.
        """
        return tuple(self._name(index) for index in range(min(self.hello().entries, MOST_ENTRIES)))

    def time(self, index: int, runs: int = RUNS, at_most_seconds: float = 60.0) -> CountedRuns:
        """Runs an entry `runs` times (at most `MOST_RUNS`) after one that is not counted.

        Raises:
            BoardError: no answer in time, or one that makes no sense.
            ValueError: more runs than the image has room for.
        """
        if not 1 <= runs <= MOST_RUNS:
            raise ValueError(f"the image times an entry 1 to {MOST_RUNS} times, not {runs}")
        request = f"run {index} {runs}"
        answer = self._ask(request, at_most_seconds)
        words = answer.split()
        if words[0] != "cycles" or len(words) != 6:
            raise self._nonsense(request, answer)
        about, ran, least, median, crc = self._numbers(request, words[1:])
        if (about, ran) != (index, runs) or least > median or median > 0xFFFF_FFFF or crc > 0xFFFF:
            raise self._nonsense(request, answer)
        if least == 0:
            raise BoardError(
                f"the cycle counter of the board at {self._url} stands still: nothing can be timed with it"
            )
        return CountedRuns(ran, least, median, crc)

    def _name(self, index: int) -> str:
        request = f"name {index}"
        answer = self._ask(request)
        start = f"name {index} "
        if not answer.startswith(start):
            raise self._nonsense(request, answer)
        return answer.removeprefix(start)

    def _ask(self, request: str, answer_seconds: float | None = None) -> str:
        """The answer to a request: sent again while it is lost or garbled, for asking twice does no harm."""
        seconds = max(answer_seconds or 0, self._answer_seconds)
        heard = False
        for _ in range(_ATTEMPTS):
            self._tag = self._tag % 9999 + 1
            try:
                self._send(request)
                for line in self._lines(seconds):
                    heard = heard or bool(line)
                    answer = _checked(line)
                    if answer == "0 error garbled request":
                        break  # the request was garbled on its way: send it again at once
                    tag, _, words = (answer or "").partition(" ")
                    if tag == str(self._tag) and words.strip():
                        return self._accepted(request, words)
            except OSError as error:
                raise BoardError(
                    f"the line to {self._url} dropped: {why(self._url, error)}; plug it in and run the command again"
                ) from error
        wrong = (
            "answers only noise: is it flashed, and at 115200 baud?"
            if heard
            else "does not answer: is it flashed and reset?"
        )
        raise BoardError(f"the board at {self._url} {wrong}")

    def _send(self, request: str) -> None:
        body = f"{self._tag} {request}"
        self._port.reset_input_buffer()
        self._port.write(f"\n{body}*{crc16(body.encode()):04x}\n".encode())

    def _lines(self, seconds: float) -> Iterator[bytes]:
        """Lines as they come, until the time is over."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._port.timeout = left
            line = self._port.read_until(b"\n", _LONGEST_LINE)
            yield line

    def _accepted(self, request: str, answer: str) -> str:
        if answer.startswith("error"):
            raise BoardError(
                f"the board at {self._url} refuses {request!r}: {shown(answer.removeprefix('error').strip())[1:-1]}"
            )
        return answer

    def _numbers(self, request: str, words: Sequence[str]) -> list[int]:
        if not all(re.fullmatch(r"\d{1,10}", word) for word in words):
            raise self._nonsense(request, " ".join(words))
        return [int(word) for word in words]

    def _nonsense(self, request: str, answer: str) -> BoardError:
        return BoardError(f"the board at {self._url} answers {request!r} with {answer[:60]!r}: flash it again")


def _checked(line: bytes) -> str | None:
    """What a line says, or None if its checksum is not right."""
    body, star, crc = line.strip().rpartition(b"*")
    if not star or crc != f"{crc16(body):04x}".encode() or not body.isascii():
        return None
    return body.decode("ascii")
