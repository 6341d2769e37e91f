"""Names of files that came from elsewhere, made safe before anything uses them."""

from __future__ import annotations

import unicodedata
from pathlib import PurePosixPath

# Left by operating systems and archivers; never photographs.
JUNK_NAMES = frozenset({".ds_store", "thumbs.db", "desktop.ini", "icon\r"})
JUNK_FOLDERS = frozenset({"__macosx", ".trashes", "@eadir", ".spotlight-v100"})
# By name only a guess: what a file really is, its content says when it is imported.
PHOTO_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".png", ".tif", ".tiff", ".webp", ".heic", ".heif"}
)
TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".txt"})

MAX_PATH = 900
MAX_NAME_BYTES = 240


def clean_path(raw: str) -> str | None:
    """Return a relative path with forward slashes, or None if it is not harmless.

    Absolute names, drive letters, parents (`..`) and control characters are not
    repaired but refused: who writes them wants to write elsewhere.
    """
    name = unicodedata.normalize("NFC", raw).replace("\\", "/")
    if name.startswith("/") or len(name) > MAX_PATH:
        return None
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if not parts or not all(map(is_harmless, parts)):
        return None
    return "/".join(parts)


def is_harmless(part: str) -> bool:
    return (
        part != ".."
        and len(part.encode()) <= MAX_NAME_BYTES
        and not (len(part) == 2 and part[1] == ":")
        and not any(unicodedata.category(c) in ("Cc", "Cs") for c in part)
    )


def is_junk(path: str) -> bool:
    *folders, name = path.lower().split("/")
    return (
        name in JUNK_NAMES
        or name.startswith("._")
        or any(folder in JUNK_FOLDERS for folder in folders)
    )


def looks_like_photo(path: str) -> bool:
    return PurePosixPath(path).suffix.lower() in PHOTO_SUFFIXES


def looks_like_table(path: str) -> bool:
    return PurePosixPath(path).suffix.lower() in TABLE_SUFFIXES
