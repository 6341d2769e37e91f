from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from snapshots import store
from snapshots.exceptions import StoreError
from snapshots.models import StoredObject
from tests.factories.snapshots import SnapshotFactory, stored

pytestmark = pytest.mark.django_db


def objects(home):
    return [
        p for p in (home / "objects").rglob("*") if p.is_file() and p.name != ".lock"
    ]


def test_put_file_stores_content_under_its_hash(home, tmp_path):
    source = tmp_path / "weights"
    source.write_bytes(b"hello")
    digest = hashlib.sha256(b"hello").hexdigest()

    obj = store.put_file(source)

    assert obj.sha256 == digest
    assert obj.size_bytes == 5
    assert objects(home) == [home / "objects" / digest[:2] / digest]
    assert store.path_of(obj).read_bytes() == b"hello"


def test_equal_content_is_stored_once(home):
    first, second = stored(b"same"), stored(b"same")

    assert first == second
    assert StoredObject.objects.count() == 1
    assert len(objects(home)) == 1


def test_putting_again_heals_a_damaged_object(home):
    obj = stored(b"content")
    store.path_of(obj).write_bytes(b"rotten!")

    stored(b"content")

    store.verify(obj)


def test_verified_read_refuses_damaged_content(home):
    obj = stored(b"content")
    store.path_of(obj).write_bytes(b"conten7")

    with pytest.raises(StoreError, match="damaged"):
        store.open_verified(obj)


def test_verified_read_refuses_a_missing_file(home):
    obj = stored(b"content")
    store.path_of(obj).unlink()

    with pytest.raises(StoreError, match="missing"):
        store.verify(obj)


def test_json_comes_back(home):
    obj = store.put_json([{"b": 1, "a": "ü"}])

    assert store.read_json(obj) == [{"a": "ü", "b": 1}]


def age(path, hours):
    moment = time.time() - 3600 * hours
    os.utime(path, (moment, moment))


def test_sweep_removes_only_what_nothing_points_at_and_is_old(home):
    snapshot = SnapshotFactory()
    kept = store.path_of(snapshot.weights)
    orphan = home / "objects" / "ab" / ("ab" + "0" * 62)
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(b"old orphan")
    young = home / "objects" / "ab" / ("ab" + "1" * 62)
    young.write_bytes(b"young orphan")
    stale = home / "objects" / "left.tmp"
    stale.write_bytes(b"half")
    fresh = home / "objects" / "fresh.tmp"
    fresh.write_bytes(b"half")
    for path in (kept, orphan, stale):
        age(path, hours=2)

    report = store.sweep()

    assert not orphan.exists()
    assert not stale.exists()
    assert kept.exists()
    assert young.exists()
    assert fresh.exists()
    assert (report.n_files, report.size_bytes) == (2, 14)


def test_sweep_removes_old_rows_that_nothing_uses(home):
    used = SnapshotFactory().weights
    unused = stored(b"nobody's")
    StoredObject.objects.update(created_at="2020-01-01T00:00Z")
    age(store.path_of(unused), hours=2)
    age(store.path_of(used), hours=2)

    report = store.sweep()

    assert report.n_rows == 1
    assert list(StoredObject.objects.filter(pk=used.pk)) == [used]
    assert not StoredObject.objects.filter(pk=unused.pk).exists()
    assert not store.path_of(unused).exists()


def test_reuse_makes_an_object_young_again(home):
    obj = stored(b"reused")
    StoredObject.objects.update(created_at="2020-01-01T00:00Z")
    age(store.path_of(obj), hours=2)

    stored(b"reused")
    store.sweep()

    store.verify(obj)
    assert StoredObject.objects.filter(pk=obj.pk).exists()


WRITER = """
    import sys
    from pathlib import Path
    import django
    django.setup()
    from django.conf import settings
    settings.FINWAVE_HOME = Path(sys.argv[1])
    from snapshots import store
    # Only files are at stake here, and the row would need the test's database.
    store.StoredObject.objects.get_or_create = lambda sha256, defaults: (None, True)
    print("ready", flush=True)
    n = 0
    while True:
        n += 1
        source = Path(sys.argv[1]) / "source"
        source.write_bytes(str(n).encode() * 300_000)
        store.put_file(source)
"""


@pytest.mark.kills
def test_kill_9_of_a_writer_never_leaves_a_torn_object(home):
    torn = []
    for _ in range(8):
        writer = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(WRITER), str(home)],
            stdout=subprocess.PIPE,
        )
        assert writer.stdout
        assert writer.stdout.readline() == b"ready\n"
        time.sleep(random.uniform(0.01, 0.2))
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        for path in objects(home):
            if path.suffix != ".tmp":
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                if digest != path.name:
                    torn.append(path)

    assert torn == []
    assert [p for p in objects(home) if p.suffix != ".tmp"]
