"""Content-addressed files: `objects/ab/<sha256>`, complete or absent, never half.

A file is copied under a temporary name, flushed to disk and renamed; rows point at
it. Nothing here knows what the bytes mean.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO, BinaryIO

from django.db import transaction
from django.db.models import ProtectedError
from django.utils import timezone

from finwave.home import objects_folder
from snapshots.exceptions import StoreError
from snapshots.models import StoredObject

CHUNK_BYTES = 1 << 20
# A sweep leaves anything younger alone: its row may be about to be written.
SWEEP_AGE_S = 3600


@dataclass(frozen=True, slots=True)
class SweepReport:
    """What a sweep removed."""

    n_files: int
    n_rows: int
    size_bytes: int


def path_of(obj: StoredObject) -> Path:
    return _path(obj.sha256)


def put_file(path: Path) -> StoredObject:
    """Copy a file into the store and return its row; equal content is stored once.

    Killed at any instruction it leaves either the whole object or a `*.tmp` that
    `sweep` removes. Do not call it inside `atomic()`.
    """
    with path.open("rb") as source:
        return _put(source)


def put_json(data: object) -> StoredObject:
    """Store a JSON document in one canonical spelling."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return _put(io.BytesIO(text.encode()))


def read_json(obj: StoredObject) -> object:
    with open_verified(obj) as file:
        return json.load(file)


def verify(obj: StoredObject) -> None:
    """Read the whole object and compare it with its name.

    Raises:
        StoreError: when the file is missing or its content is another one.
    """
    open_verified(obj).close()


def open_verified(obj: StoredObject) -> BinaryIO:
    """Open an object whose content was just checked against its name.

    Raises:
        StoreError: when the file is missing or its content is another one.
    """
    try:
        file = path_of(obj).open("rb")
    except FileNotFoundError as err:
        raise StoreError(
            f"The stored file {obj.sha256} is missing. Restore it from a backup."
        ) from err
    digest = hashlib.sha256()
    while chunk := file.read(CHUNK_BYTES):
        digest.update(chunk)
    if digest.hexdigest() != obj.sha256:
        file.close()
        raise StoreError(
            f"The stored file {obj.sha256} is damaged: its content does not match "
            "its name. Restore it from a backup."
        )
    file.seek(0)
    return file


def sweep() -> SweepReport:
    """Remove what nothing points at and is older than an hour."""
    n_rows = _delete_unreferenced_rows()
    n_files = size_bytes = 0
    for path in _swept_candidates():
        with _lock(fcntl.LOCK_EX):
            try:
                stat = path.stat()
            except FileNotFoundError:
                continue
            is_object = path.suffix != ".tmp"
            if time.time() - stat.st_mtime < SWEEP_AGE_S or (
                is_object and StoredObject.objects.filter(pk=path.name).exists()
            ):
                continue
            path.unlink()
        n_files += 1
        size_bytes += stat.st_size
    return SweepReport(n_files=n_files, n_rows=n_rows, size_bytes=size_bytes)


def _path(sha256: str) -> Path:
    return objects_folder() / sha256[:2] / sha256


def _put(source: IO[bytes]) -> StoredObject:
    folder = objects_folder()
    folder.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(suffix=".tmp", dir=folder)
    temporary = Path(name)
    try:
        digest = hashlib.sha256()
        size_bytes = 0
        with os.fdopen(descriptor, "wb") as target:
            while chunk := source.read(CHUNK_BYTES):
                digest.update(chunk)
                size_bytes += target.write(chunk)
            target.flush()
            os.fsync(target.fileno())
        return _publish(temporary, digest.hexdigest(), size_bytes)
    finally:
        temporary.unlink(missing_ok=True)


def _publish(temporary: Path, sha256: str, size_bytes: int) -> StoredObject:
    path = _path(sha256)
    # Held until the row is there, so that no sweep comes between file and row.
    with _lock(fcntl.LOCK_SH):
        path.parent.mkdir(exist_ok=True)
        # Also over an object that exists: the content is equal, a damaged one is
        # healed, and its age starts again.
        temporary.replace(path)
        _fsync_folder(path.parent)
        _fsync_folder(path.parent.parent)
        obj, is_new = StoredObject.objects.get_or_create(
            sha256=sha256, defaults={"size_bytes": size_bytes}
        )
        if not is_new:
            StoredObject.objects.filter(pk=sha256).update(created_at=timezone.now())
    return obj


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _lock(kind: int) -> Iterator[None]:
    folder = objects_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a") as file:
        fcntl.flock(file, kind)
        yield


def _swept_candidates() -> list[Path]:
    folder = objects_folder()
    return [*folder.glob("*.tmp"), *folder.glob("[0-9a-f][0-9a-f]/*")]


def _delete_unreferenced_rows() -> int:
    """Delete the rows that no other row uses, each in a transaction of its own."""
    limit = timezone.now() - timedelta(seconds=SWEEP_AGE_S)
    n_rows = 0
    old = StoredObject.objects.filter(created_at__lt=limit)
    for sha256 in list(old.values_list("pk", flat=True)):
        try:
            with transaction.atomic():
                # Every reference protects its object, so a used row is refused.
                n_deleted, _ = old.filter(pk=sha256).delete()
        except ProtectedError:
            continue
        n_rows += n_deleted
    return n_rows
