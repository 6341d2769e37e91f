from __future__ import annotations

import json
from contextlib import closing

import pytest

from finwave.ml.events import EventLog


def test_a_torn_line_is_cut_off(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"kind": "log", "data": {"message": "a"}}\n{"kind": "lo')

    with closing(EventLog(path)) as events:
        events.write("step", {"step": 1})

    lines = path.read_text().splitlines()
    assert [json.loads(line)["kind"] for line in lines] == ["log", "step"]


def test_what_an_earlier_process_wrote_is_not_written_twice(tmp_path):
    path = tmp_path / "events.jsonl"
    for _ in range(2):
        with closing(EventLog(path)) as events:
            events.write_once("metrics", {"epoch": 1})
            events.write_once("metrics", {"epoch": 2})
            events.write_once("examples", {"epoch": 1})
            events.log("ready", once=True)

    kinds = [json.loads(line)["kind"] for line in path.read_text().splitlines()]
    assert kinds == ["metrics", "metrics", "examples", "log"]


def test_each_line_is_in_the_file_at_once(tmp_path):
    with closing(EventLog(tmp_path / "events.jsonl")) as events:
        events.write("step", {"step": 1})

        assert (tmp_path / "events.jsonl").read_bytes().endswith(b"}\n")


def test_not_a_number_is_refused(tmp_path):
    with closing(EventLog(tmp_path / "events.jsonl")) as events:
        with pytest.raises(ValueError, match="JSON"):
            events.write("metrics", {"epoch": 1, "train_loss": float("nan")})

        assert (tmp_path / "events.jsonl").read_bytes() == b""
