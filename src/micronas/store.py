"""Scores kept on disk: one sqlite file that survives interruptions, other runs and damage."""

from __future__ import annotations

import hashlib
import sqlite3
import zlib
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from micronas.cache import cache_dir
from micronas.errors import UserError

_LAYOUT = 1  # PRAGMA user_version; another number is another layout
_TABLES = """
    CREATE TABLE IF NOT EXISTS series (id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL);
    CREATE TABLE IF NOT EXISTS scores (
        series INTEGER NOT NULL, key TEXT NOT NULL, value REAL NOT NULL, checksum INTEGER NOT NULL,
        PRIMARY KEY (series, key)
    ) WITHOUT ROWID;
"""
_PATIENCE_S = 60.0  # how long one run waits for another's write

_SCORING_CODE = ("graph.py", "deployed.py", "weights.py", "inputs.py", "proxies", "spaces")


@cache
def code_version() -> str:
    """A digest of the code that makes scores: numbers of other code are other numbers."""
    package = Path(__file__).parent
    files = [path for name in _SCORING_CODE for path in _sources(package / name)]
    return hashlib.blake2b(b"\0".join(path.read_bytes() for path in files), digest_size=8).hexdigest()


def _sources(path: Path) -> list[Path]:
    return sorted(path.rglob("*.py")) if path.is_dir() else [path]


@dataclass(frozen=True)
class Series:
    """What two scores must have in common to be the same number, besides the network's live key.

    Attributes:
        indicator: its name.
        fingerprint: skeleton, settings, seed and inputs, in words.
        code: the version of the code that makes the numbers.
    """

    indicator: str
    fingerprint: str
    code: str

    @property
    def name(self) -> str:
        """One line that names it in the file."""
        return f"{self.indicator} | {self.fingerprint} | code {self.code}"


class ScoreStore:
    """Scores by series and live key.

    Every write is one transaction, so a killed run loses at most the chunk it was scoring, and
    runs side by side wait for each other. Each row carries a checksum: what a damaged file still
    tells truly is kept, the rest is forgotten and scored again. `said` collects what a user should
    be told about that.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.said: list[str] = []

    def read(self, series: Series) -> dict[str, float]:
        """Every sound score of a series by live key.

        Raises:
            UserError: the folder cannot be used.
        """
        query = "SELECT key, value, checksum FROM scores JOIN series ON series.id = series WHERE name = ?"
        rows: list[tuple[str, float, int]] = []
        with self._open() as connection:
            try:
                rows += connection.execute(query, (series.name,))
            except sqlite3.DatabaseError as error:
                self._rescue(error)
                return self.read(series)
        sound = {key: value for key, value, checksum in rows if checksum == _checksum(series.name, key, value)}
        if len(sound) < len(rows):
            self.said.append(f"{self.path} holds {len(rows) - len(sound)} damaged scores; they are made again")
        return sound

    def write(self, series: Series, scores: Mapping[str, float]) -> None:
        """Keep scores, all or none of them.

        Raises:
            UserError: the folder cannot be used, or the disk is full.
        """
        with self._open() as connection:
            try:
                _insert(connection, series.name, scores)
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError as error:
                self._rescue(error)
                self.write(series, scores)

    @contextmanager
    def _open(self) -> Generator[sqlite3.Connection]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(self._connect()) as connection:
                yield connection
        except (OSError, sqlite3.OperationalError) as error:
            raise UserError(
                f"cannot use the score store {self.path}: {error}; set MICRONAS_CACHE to a folder you can write to"
            ) from error

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=_PATIENCE_S)
        try:
            layout: int = connection.execute("PRAGMA user_version").fetchone()[0]
            empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
            if layout != _LAYOUT and not empty:
                raise sqlite3.DatabaseError(f"its layout is {layout}, not {_LAYOUT}")
            with connection:
                connection.executescript(_TABLES + f"PRAGMA user_version = {_LAYOUT};")
        except sqlite3.OperationalError:
            connection.close()
            raise
        except sqlite3.DatabaseError as error:
            connection.close()
            self._rescue(error)
            return self._connect()
        return connection

    def _rescue(self, error: sqlite3.DatabaseError) -> None:
        """Put the damaged file aside and copy what it still tells truly into a new one."""
        aside = self.path.with_suffix(".damaged.sqlite3")
        self.path.replace(aside)
        self.path.with_name(self.path.name + "-journal").unlink(missing_ok=True)
        kept = 0
        with closing(self._connect()) as connection:
            for name, rows in _readable(aside).items():
                _insert(connection, name, rows)
                kept += len(rows)
        self.said.append(f"{self.path} was damaged ({error}); {kept} scores were saved from it, the rest is made again")


def default_store() -> ScoreStore:
    """The store in the user's cache directory."""
    return ScoreStore(cache_dir() / "scores.sqlite3")


def _insert(connection: sqlite3.Connection, series: str, scores: Mapping[str, float]) -> None:
    with connection:
        connection.execute("INSERT OR IGNORE INTO series (name) VALUES (?)", (series,))
        number: int = connection.execute("SELECT id FROM series WHERE name = ?", (series,)).fetchone()[0]
        connection.executemany(
            "INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?)",
            ((number, key, value, _checksum(series, key, value)) for key, value in scores.items()),
        )


def _readable(path: Path) -> dict[str, dict[str, float]]:
    """The sound rows of a damaged file, as far as it can be read."""
    found: dict[str, dict[str, float]] = {}
    try:
        with closing(sqlite3.connect(path)) as connection:
            query = "SELECT name, key, value, checksum FROM scores JOIN series ON series.id = series"
            for name, key, value, checksum in connection.execute(query):
                if checksum == _checksum(name, key, value):
                    found.setdefault(name, {})[key] = value
    except (sqlite3.DatabaseError, UnicodeDecodeError, TypeError):
        pass  # what was read before the damage is kept
    return found


def _checksum(series: str, key: str, value: float) -> int:
    return zlib.crc32(f"{series}\0{key}\0{value!r}".encode())
