"""Scores kept on disk: one sqlite file that survives interruptions, other runs and damage."""

from __future__ import annotations

import os
import sqlite3
import zlib
from collections.abc import Callable, Generator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from micronas.cache import cache_dir
from micronas.errors import UserError
from micronas.locking import alone

LAYOUT = 2
"""Of the tables, kept as the file's `user_version`; another number is another layout."""

_TABLES = (
    """CREATE TABLE series (
        id INTEGER PRIMARY KEY, indicator TEXT NOT NULL, fingerprint TEXT NOT NULL, code TEXT NOT NULL,
        UNIQUE (indicator, fingerprint, code)
    )""",
    """CREATE TABLE scores (
        series INTEGER NOT NULL, key TEXT NOT NULL, value REAL NOT NULL, checksum INTEGER NOT NULL,
        PRIMARY KEY (series, key)
    ) WITHOUT ROWID""",
    f"PRAGMA user_version = {LAYOUT}",
)
_SERIES = "indicator = ? AND fingerprint = ? AND code = ?"
_PATIENCE_S = 60.0  # how long one run waits for another's write

_DAMAGE = {
    *(sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_FORMAT),
    sqlite3.SQLITE_CONSTRAINT,  # a sound file never breaks one: rows are replaced
}
"""What sqlite says of a file that is not as we wrote it; all else (locked, full) is no damage."""

_TROUBLE = (sqlite3.Error, UnicodeDecodeError)  # the latter where sqlite's own message quotes damaged text
_MOST_BYTES = 2**32  # a header that tells more is itself damaged
_ATTEMPTS = 3  # a file that was just mended is not damaged again, unless the disk is

_T = TypeVar("_T")


@dataclass(frozen=True)
class Series:
    """What two scores must have in common to be the same number, besides the network's weights (`weights_key`).

    Attributes:
        indicator: its name.
        fingerprint: settings, seed and inputs, in words.
        code: the version of the code that makes the numbers (`sources.version_of`).
    """

    indicator: str
    fingerprint: str
    code: str

    @property
    def words(self) -> tuple[str, str, str]:
        """As the file names it."""
        return self.indicator, self.fingerprint, self.code


class _Unlike(sqlite3.DatabaseError):
    """The file is a database, but its tables are not ours."""


class ScoreStore:
    """Scores by series and network.

    Every write is one transaction, so a killed run loses at most the chunk it was scoring, and
    runs side by side wait for each other. Each row carries a checksum, and the file is looked
    through before a run first writes: what a damaged file still tells truly is kept, the rest is
    forgotten and scored again. `said` collects what a user should be told about that.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.said: list[str] = []
        self._doubts = ""
        self._checked = False

    def read(self, series: Series) -> dict[str, float]:
        """Every sound score of a series by network.

        Raises:
            UserError: the file cannot be used.
        """
        query = f"SELECT key, value, checksum FROM scores JOIN series ON series.id = series WHERE {_SERIES}"

        def select(connection: sqlite3.Connection) -> list[tuple[str, float, int]]:
            return connection.execute(query, series.words).fetchall()

        rows = self._with_file(select)
        sound = {key: value for key, value, checksum in rows if checksum == _checksum(series, key, value)}
        if len(sound) < len(rows):
            self._doubts = f"{len(rows) - len(sound)} scores in it are false"
        return sound

    def write(self, scores: Mapping[Series, Mapping[str, float]]) -> None:
        """Keep scores, all or none of them. Those that other code made of the same series are dropped.

        Raises:
            UserError: the file cannot be used, or the disk is full.
        """

        def insert(connection: sqlite3.Connection) -> None:
            self._check(connection)
            _insert(connection, scores)

        self._with_file(insert)

    def _check(self, connection: sqlite3.Connection) -> None:
        """Look the whole file through before the first write: damage may hide rows without an error.

        Raises:
            _Unlike: it is damaged.
        """
        if self._doubts:
            raise _Unlike(self._doubts)
        if not self._checked and connection.execute("PRAGMA integrity_check(1)").fetchone() != ("ok",):
            raise _Unlike("its pages do not agree with each other")
        self._checked = True

    def _with_file(self, use: Callable[[sqlite3.Connection], _T]) -> _T:
        """What `use` makes of the open file; a damaged file is mended first."""
        try:
            for attempt in range(1, _ATTEMPTS + 1):
                file = self._identity()
                try:
                    with _connection(self.path) as connection:
                        _lay_out(connection)
                        return use(connection)
                except _TROUBLE as error:  # closed by now: not every system moves a file that is open
                    if attempt == _ATTEMPTS or not self._is_damage(error):
                        raise
                    self._rescue(file, error)
            raise AssertionError("the last attempt returns or raises")
        except (OSError, *_TROUBLE) as error:
            raise UserError(
                f"cannot use the score store {self.path}: {error}; set MICRONAS_CACHE to a folder you can write to"
            ) from error

    def _identity(self) -> int:
        """Which file lies at the path now; an empty one is made where there is none."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self.path.exists():
            self.path.touch()
        return self.path.stat().st_ino

    def _is_damage(self, error: Exception) -> bool:
        code: int = getattr(error, "sqlite_errorcode", 0) & 0xFF  # extended codes keep the plain one in the low byte
        if code == sqlite3.SQLITE_READONLY:  # the file's own header may say so
            return os.access(self.path, os.W_OK) and os.access(self.path.parent, os.W_OK)
        return isinstance(error, (_Unlike, UnicodeDecodeError)) or code in _DAMAGE

    def _rescue(self, file: int, error: Exception) -> None:
        """Put the damaged file aside and copy what it still tells truly into a new one; one run does it for all."""
        with alone(self.path.with_name(self.path.name + ".lock")):
            self._doubts = ""
            if not self.path.exists() or self.path.stat().st_ino != file:
                return  # another run was quicker
            aside = self.path.with_suffix(".damaged.sqlite3")
            for ending in ("", "-journal"):
                if (part := self.path.with_name(self.path.name + ending)).exists():
                    part.replace(aside.with_name(aside.name + ending))
            with _connection(self.path) as connection:
                _lay_out(connection)
                readable = _readable(aside)
                _insert(connection, readable)
                kept = sum(map(len, readable.values()))
        self.said.append(
            f"the score store {self.path} was damaged or of another version ({error}); {kept:,} scores were saved "
            f"from it, what is missing is made again; the old file is now {aside.name}"
        )


def default_store() -> ScoreStore:
    """The store in the user's cache directory."""
    return ScoreStore(cache_dir() / "scores.sqlite3")


@contextmanager
def _connection(path: Path) -> Generator[sqlite3.Connection]:
    """An open file whose transactions are ours to begin; damaged text is read as other text, not as an error."""
    with closing(sqlite3.connect(path, timeout=_PATIENCE_S, isolation_level=None)) as connection:
        connection.text_factory = _text
        yield connection


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace")


def _lay_out(connection: sqlite3.Connection) -> None:
    """Make the tables of a new file; two runs may do so at once.

    Raises:
        _Unlike: there are tables already, in another layout.
    """
    if _layout(connection) == LAYOUT:
        return
    with _transaction(connection):
        found = _layout(connection)
        if found == LAYOUT:
            return
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise _Unlike(f"its layout is {found}, this version's is {LAYOUT}")
        for statement in _TABLES:
            connection.execute(statement)


def _layout(connection: sqlite3.Connection) -> int:
    return connection.execute("PRAGMA user_version").fetchone()[0]


def _insert(connection: sqlite3.Connection, scores: Mapping[Series, Mapping[str, float]]) -> None:
    with _transaction(connection):
        for series, values in scores.items():
            number = _number(connection, series)
            connection.executemany(
                "INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?)",
                ((number, key, value, _checksum(series, key, value)) for key, value in values.items()),
            )


def _number(connection: sqlite3.Connection, series: Series) -> int:
    """The number of a series in the file; a new one takes the place of what other code made."""
    found = connection.execute(f"SELECT id FROM series WHERE {_SERIES}", series.words).fetchone()
    if found:
        return found[0]
    others = "SELECT id FROM series WHERE indicator = ? AND fingerprint = ?"
    connection.execute(f"DELETE FROM scores WHERE series IN ({others})", series.words[:2])
    connection.execute("DELETE FROM series WHERE indicator = ? AND fingerprint = ?", series.words[:2])
    cursor = connection.execute("INSERT INTO series (indicator, fingerprint, code) VALUES (?, ?, ?)", series.words)
    assert cursor.lastrowid is not None
    return cursor.lastrowid


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Generator[None]:
    """All or nothing; the lock is taken at the start, so that what is read in it stays true."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _readable(path: Path) -> dict[Series, dict[str, float]]:
    """The sound rows of a damaged file, as far as it can be read."""
    _fill_up(path)
    found: dict[Series, dict[str, float]] = {}
    query = "SELECT indicator, fingerprint, code, key, value, checksum FROM scores JOIN series ON series.id = series"
    try:
        with _connection(path) as connection:
            for indicator, fingerprint, code, key, value, checksum in connection.execute(query):
                series = Series(indicator, fingerprint, code)
                if checksum == _checksum(series, key, value):
                    found.setdefault(series, {})[key] = value
    except _TROUBLE:
        pass  # what was read before the damage is kept
    return found


def _fill_up(path: Path) -> None:
    """Give a file that was cut short the size its header tells (zeros), else sqlite reads nothing of it."""
    with path.open("rb") as file:
        header = file.read(100)
    if header.startswith(b"SQLite format 3\0") and len(header) == 100:
        page_bytes, pages = int.from_bytes(header[16:18]), int.from_bytes(header[28:32])
        if path.stat().st_size < page_bytes * pages < _MOST_BYTES:
            os.truncate(path, page_bytes * pages)


def _checksum(series: Series, key: str, value: float) -> int:
    return zlib.crc32(f"{series.words}\0{key}\0{value!r}".encode())
