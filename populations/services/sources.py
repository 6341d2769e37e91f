"""Where an import's files lie: a staged folder, a ZIP, or a folder of the server.

Each lists what it holds without trusting a name, and hands out one file at a time as
a path. A ZIP is never unpacked as a whole, and none of its names ever becomes one.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Protocol

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile

from finwave import home
from populations.exceptions import ImportRefused, PhotoRefused
from populations.models import ImportBatch
from populations.services.paths import (
    clean_path,
    is_junk,
    looks_like_photo,
    looks_like_table,
)

MAX_FILES = 200_000
MAX_FILE_BYTES = 500 * 1024**2
MAX_TABLE_BYTES = 50 * 1024**2
# Photographs are compressed already; what shrinks a hundredfold is no photograph.
MAX_RATIO = 100
RATIO_FROM_BYTES = 20 * 1024**2
READ_BYTES = 1024**2


@dataclass(frozen=True, slots=True)
class Problem:
    """Something to tell about one file or row; `row` is its line in the table."""

    message: str
    path: str = ""
    row: int | None = None


@dataclass(slots=True)
class Listing:
    """What a source holds."""

    photos: dict[str, int] = field(default_factory=dict)  # path -> bytes
    tables: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def add(self, path: str, n_bytes: int) -> None:
        if n_bytes > MAX_FILE_BYTES:
            message = f"It has {n_bytes // 1024**2} MB; {MAX_FILE_BYTES // 1024**2} MB is the most."
            self.problems.append(Problem(message, path))
        elif looks_like_photo(path):
            self.photos[path] = n_bytes
        elif looks_like_table(path):
            self.tables.append(path)
        else:
            self.others.append(path)


class Source(Protocol):
    def listing(self) -> Listing: ...

    def read(self, path: str, limit: int) -> bytes: ...

    def extracted(self, path: str) -> AbstractContextManager[Path]: ...


class FolderSource:
    """A folder on this machine; symbolic links in it are not followed."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def listing(self) -> Listing:
        listing = Listing()
        for n, (path, file) in enumerate(self.walk()):
            if n >= MAX_FILES:
                raise ImportRefused(
                    f"There are more than {MAX_FILES} files. Import them in parts."
                )
            clean = clean_path(path)
            if clean != path:
                listing.problems.append(Problem("Its name cannot be used.", path))
            elif not is_junk(path):
                listing.add(path, file.stat().st_size)
        listing.photos = dict(sorted(listing.photos.items()))
        listing.tables.sort()
        return listing

    def walk(self) -> Iterator[tuple[str, Path]]:
        for folder, _folders, names in os.walk(self.root):
            for name in names:
                file = Path(folder, name)
                if file.is_file() and not file.is_symlink():
                    yield file.relative_to(self.root).as_posix(), file

    def read(self, path: str, limit: int) -> bytes:
        with self.path_of(path).open("rb") as file:
            return file.read(limit)

    @contextmanager
    def extracted(self, path: str) -> Iterator[Path]:
        yield self.path_of(path)

    def path_of(self, path: str) -> Path:
        file = self.root / path
        if clean_path(path) != path or file.is_symlink() or not file.is_file():
            raise PhotoRefused("The file is no longer there.")
        # A folder above it may have become a link since it was listed.
        if not file.resolve().is_relative_to(self.root.resolve()):
            raise PhotoRefused("The file is outside the folder.")
        return file


class ZipSource:
    """A stored ZIP file, read entry by entry."""

    def __init__(self, file: Path) -> None:
        try:
            self.archive = zipfile.ZipFile(file)
        except (
            zipfile.BadZipFile,
            struct.error,
            OSError,
            ValueError,
            NotImplementedError,
        ) as error:
            raise ImportRefused(
                "The ZIP file cannot be read; it may be cut off. Pack it again."
            ) from error
        self.entries: dict[str, zipfile.ZipInfo] = {}

    def listing(self) -> Listing:
        listing = Listing()
        self.entries = {}
        infos = self.archive.infolist()
        if len(infos) > MAX_FILES:
            raise ImportRefused(
                f"The ZIP holds more than {MAX_FILES} files. Pack it in parts."
            )
        for info in infos:
            if info.is_dir():
                continue
            path = clean_path(info.filename)
            # Junk is judged by its harmless name only.
            if path is not None and is_junk(path):
                continue
            refusal = self.refusal_of(info, path)
            if refusal or path is None:
                listing.problems.append(Problem(refusal, info.filename[:200]))
            else:
                self.entries[path] = info
                listing.add(path, info.file_size)
        listing.photos = dict(sorted(listing.photos.items()))
        listing.tables.sort()
        return listing

    def refusal_of(self, info: zipfile.ZipInfo, path: str | None) -> str:
        """Return why an entry is not taken; "" if it is."""
        if path is None:
            return "Its name leads out of the ZIP, or cannot be used."
        if stat.S_ISLNK(info.external_attr >> 16):
            return "It is a link, not a file."
        if info.flag_bits & 0x1:
            return "It is protected by a password. Pack it without one."
        if path in self.entries:
            return "The ZIP holds this name twice; the first one is taken."
        ratio = info.file_size / max(info.compress_size, 1)
        if info.file_size > RATIO_FROM_BYTES and ratio > MAX_RATIO:
            return "It would swell to many times its size, as no photograph does."
        return ""

    def entry(self, path: str) -> zipfile.ZipInfo:
        if not self.entries:
            self.listing()
        if path not in self.entries:
            raise PhotoRefused("The file is not in the ZIP.")
        return self.entries[path]

    @contextmanager
    def opened(self, path: str) -> Iterator[IO[bytes]]:
        try:
            with self.archive.open(self.entry(path)) as file:
                yield file
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            NotImplementedError,
            RuntimeError,
            OSError,
        ) as error:
            # A full disk is not the file's fault: the job fails, and resumes later.
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                raise
            raise PhotoRefused(
                "It cannot be unpacked: the ZIP is damaged at this place."
            ) from error

    def read(self, path: str, limit: int) -> bytes:
        with self.opened(path) as file:
            return file.read(limit)

    @contextmanager
    def extracted(self, path: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(
            prefix="finwave-zip-", dir=settings.FILE_UPLOAD_TEMP_DIR
        ) as folder:
            target = Path(folder, "entry")
            with self.opened(path) as file, target.open("wb") as copy:
                # The size an entry declares may be a lie; counting is not.
                for n_read in self.copy(file, copy):
                    if n_read > MAX_FILE_BYTES:
                        raise PhotoRefused("It is larger than a photograph may be.")
            yield target

    def copy(self, file: IO[bytes], copy: IO[bytes]) -> Iterator[int]:
        n_read = 0
        while block := file.read(READ_BYTES):
            n_read += copy.write(block)
            yield n_read


def staged_files(batch: ImportBatch) -> Path:
    return home.staging_folder(batch.pk) / "files"


def staged_zip(batch: ImportBatch) -> Path:
    return home.staging_folder(batch.pk) / "upload.zip"


def staged_table(batch: ImportBatch) -> Path:
    return home.staging_folder(batch.pk) / "labels.csv"


@contextmanager
def source_of(batch: ImportBatch) -> Iterator[Source]:
    """Open the batch's source.

    Raises:
        ImportRefused: if it is gone or cannot be read.
    """
    if batch.source == ImportBatch.Source.ZIP:
        if not staged_zip(batch).is_file():
            raise ImportRefused("The ZIP file of this import is no longer there.")
        source = ZipSource(staged_zip(batch))
        with source.archive:
            yield source
    elif batch.source == ImportBatch.Source.SERVER:
        yield FolderSource(allowed_folder(batch.server_folder))
    else:
        yield FolderSource(staged_files(batch))


def allowed_folder(folder: str) -> Path:
    """Return a folder of the server, if it lies inside one of the allowed roots.

    Raises:
        ImportRefused: if it does not exist or lies elsewhere.
    """
    path = Path(folder).expanduser()
    # Links are resolved before the comparison, so that none leads out.
    real = path.resolve()
    roots = [root.resolve() for root in settings.FINWAVE_IMPORT_ROOTS]
    if not path.is_absolute() or not any(real.is_relative_to(root) for root in roots):
        raise ImportRefused(
            "This folder is not inside one of the folders that may be imported from."
        )
    if not real.is_dir():
        raise ImportRefused(f"There is no folder {folder} on the server.")
    return real


def store_upload(file: UploadedFile, target: Path) -> None:
    """Write an upload to its place, complete or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        dir=target.parent, prefix=".upload-", delete=False
    ) as temporary:
        try:
            for chunk in file.chunks():
                temporary.write(chunk)
            temporary.close()
            Path(temporary.name).replace(target)
        except BaseException:
            Path(temporary.name).unlink(missing_ok=True)
            raise
