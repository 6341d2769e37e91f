"""A deterministic trainer without weights: a chain of hashes with checkpoints."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path

CHECKPOINT_EVERY = 10


def save(path: Path, content: dict) -> None:
    fresh = path.with_suffix(".tmp")
    fresh.write_text(json.dumps(content))
    fresh.replace(path)


def main() -> None:
    folder = Path(sys.argv[1])
    n_steps, step_s = int(os.environ["STEPS"]), float(os.environ["STEP_S"])
    told: list[bool] = []
    stop_file = folder / "stop"
    signal.signal(signal.SIGTERM, lambda *_: told.append(True))

    checkpoint = folder / "last.json"
    state = {"step": 0, "hash": ""}
    if checkpoint.exists():
        state = json.loads(checkpoint.read_text())
    log = folder / "events.jsonl"
    n_written = log.read_bytes().count(b"\n") if log.exists() else 0

    with log.open("a") as events:
        while state["step"] < n_steps and not told and not stop_file.exists():
            time.sleep(step_s)
            step = state["step"] + 1
            chain = hashlib.sha256(f"{state['hash']}{step}".encode()).hexdigest()
            state = {"step": step, "hash": chain}
            if step > n_written:
                data = {"n_done": step, "hash": chain}
                events.write(json.dumps({"kind": "progress", "data": data}) + "\n")
                events.flush()
            if step % CHECKPOINT_EVERY == 0:
                save(checkpoint, state)
    save(checkpoint, state)
    outcome = "finished" if state["step"] == n_steps else "stopped"
    save(folder / "result.json", {"outcome": outcome, **state})


if __name__ == "__main__":
    main()
