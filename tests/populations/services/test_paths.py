from __future__ import annotations

import pytest

from populations.services.paths import clean_path, is_junk


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("a.jpg", "a.jpg"),
        ("T1/./a.jpg", "T1/a.jpg"),
        ("T1\\a.jpg", "T1/a.jpg"),
        ("T1//a b.jpg", "T1/a b.jpg"),
        ("Ju\u0308rgen.jpg", "Jürgen.jpg"),
        ("../a.jpg", None),
        ("T1/../../etc/passwd", None),
        ("..\\..\\a.jpg", None),
        ("/etc/passwd", None),
        ("\\\\server\\share\\a.jpg", None),
        ("C:/a.jpg", None),
        ("C:\\a.jpg", None),
        ("a\x00.jpg", None),
        ("a\n.jpg", None),
        ("", None),
        ("./", None),
        ("x" * 300 + ".jpg", None),
        ("d/" * 500 + "a.jpg", None),
    ],
)
def test_clean_path_repairs_or_refuses(raw, expected):
    assert clean_path(raw) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("T1/.DS_Store", True),
        ("__MACOSX/T1/._a.jpg", True),
        ("T1/._a.jpg", True),
        ("Thumbs.db", True),
        ("T1/a.jpg", False),
    ],
)
def test_is_junk_knows_what_systems_leave(path, expected):
    assert is_junk(path) is expected
