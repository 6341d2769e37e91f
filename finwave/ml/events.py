"""The event file of a training process: one JSON object a line, whole lines only."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path


class EventLog:
    """Appends events, each once even when the process was killed in between.

    Args:
        path: `events.jsonl`; what an earlier process of the same job wrote is kept.
    """

    def __init__(self, path: Path) -> None:
        self._written: set[tuple[str, object]] = set()
        if path.exists():
            content = path.read_bytes()
            whole = content.rfind(b"\n") + 1
            if whole < len(content):  # a line that a killed process did not finish
                os.truncate(path, whole)
            for line in content[:whole].splitlines():
                event = json.loads(line)
                self._written.add(_identity(event["kind"], event["data"]))
        # Unbuffered: each line reaches the file by one write, or not at all.
        self._file = path.open("ab", buffering=0)

    def write(self, kind: str, data: Mapping[str, object]) -> None:
        """Append an event."""
        line = json.dumps({"kind": kind, "data": dict(data)}, allow_nan=False)
        self._file.write(line.encode() + b"\n")
        self._written.add(_identity(kind, data))

    def write_once(self, kind: str, data: Mapping[str, object]) -> None:
        """Append an event unless this epoch's (of a log: this message) is there."""
        if _identity(kind, data) not in self._written:
            self.write(kind, data)

    def log(self, message: str, *, level: str = "info", once: bool = False) -> None:
        """Append a line of the log for people."""
        at = datetime.now(UTC).isoformat(timespec="seconds")
        data = {"level": level, "message": message, "at": at}
        (self.write_once if once else self.write)("log", data)

    def close(self) -> None:
        self._file.close()


def _identity(kind: str, data: Mapping[str, object]) -> tuple[str, object]:
    return (kind, data.get("message") if kind == "log" else data.get("epoch"))
