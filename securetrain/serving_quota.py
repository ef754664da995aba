"""How many images each client had in the last day, kept where a restart finds it.

The attacker waits for a restart, or causes one, and has the whole day again. So images
are counted on disk, and before the model answers: whoever kills the service between two
steps wins nothing. At most one question is counted that nobody answered.

Not kept: requests a minute, which a restart forgives. Whoever may write the file, or
set the clock forward by a day, has new images.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

from securetrain.serving_input import Refused

DAY, STEP = 86_400, 60  # seconds; images are counted by the minute
WAIT, VERSION = 2, 1  # seconds for another process that counts; of the table
TABLE = """CREATE TABLE images (
    client TEXT, minute INTEGER, count INTEGER, PRIMARY KEY (client, minute)
) WITHOUT ROWID"""


class Quota:
    """Images of the last 24 hours by client; a minute counts until all of it is over.

    state: a file, made for its owner's eyes if need be, or ":memory:", which forgets;
    images: a day's. There is a row for each client and minute, 1,441 a client at most.
    Raises ValueError where nothing can be written.
    """

    def __init__(self, state: str | Path, images: int) -> None:
        self.images, self.lock = images, threading.Lock()
        try:
            if str(state) != ":memory:":
                flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
                os.close(os.open(state, flags, 0o600))
            self.database = sqlite3.connect(
                state, timeout=WAIT, isolation_level=None, check_same_thread=False
            )
        except (OSError, sqlite3.Error) as error:
            raise ValueError(f"{state}: cannot count here: {error}") from None
        try:
            self._begin()
        except (sqlite3.Error, ValueError) as error:
            self.close()
            raise ValueError(f"{state}: cannot count here: {error}") from None

    def _begin(self) -> None:
        """Make the table in an empty file; ValueError for somebody else's."""
        self.database.execute("PRAGMA journal_mode = WAL")
        self.database.execute("PRAGMA synchronous = FULL")  # a power cut, too
        with self.database:
            self.database.execute("BEGIN IMMEDIATE")
            (version,) = self.database.execute("PRAGMA user_version").fetchone()
            found = self.database.execute("SELECT name FROM sqlite_master").fetchall()
            if not found and not version:
                self.database.execute(TABLE)
            elif found != [("images",)] or version != VERSION:
                raise ValueError("it is another program's")
            self.database.execute(f"PRAGMA user_version = {VERSION}")  # a write

    def take(self, client: str, count: int, now: float | None = None) -> bool:
        """Count images, and say whether the day has room; else nothing is counted.

        now: seconds since 1970. Raises Refused where they cannot be counted.
        """
        minute = int((time.time() if now is None else now) // STEP)
        since = minute - DAY // STEP
        try:
            with self.lock, self.database:  # commits, or rolls back
                self.database.execute("BEGIN IMMEDIATE")
                self.database.execute("DELETE FROM images WHERE minute < ?", [since])
                if self.used(client) + count > self.images:
                    return False
                self.database.execute(
                    "INSERT INTO images VALUES (?, ?, ?) ON CONFLICT (client, minute) "
                    "DO UPDATE SET count = count + excluded.count",
                    [client, minute, count],
                )
        except sqlite3.Error:
            raise Refused(503, "images cannot be counted now") from None
        return True

    def used(self, client: str) -> int:
        """Return how many images of a client are counted."""
        sum_ = "SELECT coalesce(sum(count), 0) FROM images WHERE client = ?"
        return self.database.execute(sum_, [client]).fetchone()[0]

    def rows(self) -> int:
        """Return how many rows are kept, of all clients."""
        return self.database.execute("SELECT count(*) FROM images").fetchone()[0]

    def close(self) -> None:
        """Let go of the file."""
        with closing(self.database):
            pass
