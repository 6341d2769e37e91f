from __future__ import annotations

import pytest

from populations.exceptions import ImportRefused
from populations.services.tables import guess_columns, read_table


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16"])
def test_read_table_sniffs_delimiter_and_encoding(delimiter, encoding):
    text = "\n".join(
        delimiter.join(row)
        for row in (
            ("filename", "individual", "place"),
            ("a.jpg", "Jürgen", "Höfn"),
            ("b.jpg", "Ægir", "Vík, by the sea" if delimiter != "," else "Vík"),
        )
    )

    table = read_table(text.encode(encoding))

    assert table.header == ["filename", "individual", "place"]
    assert [cells[1] for _, cells in table.rows] == ["Jürgen", "Ægir"]
    assert [line for line, _ in table.rows] == [2, 3]


def test_read_table_keeps_a_quoted_delimiter():
    table = read_table(b'filename,individual\n"a,b.jpg",T1\n')

    assert table.rows == [(2, ["a,b.jpg", "T1"])]


def test_read_table_tells_rows_that_are_too_long():
    table = read_table(b"filename,individual\na.jpg,T1,left\nb.jpg,T2\n")

    assert [(p.row, p.message) for p in table.problems] == [
        (2, "The row has 3 cells, the header 2.")
    ]


@pytest.mark.parametrize(
    "content", [b"", b"\n\n", b"PK\x03\x04\x00\x00\x00", b"\x00\x01"]
)
def test_read_table_refuses_what_is_no_table(content):
    with pytest.raises(ImportRefused):
        read_table(content)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (
            ["filename", "individual", "encounter", "side"],
            {
                "filename": "filename",
                "individual": "individual",
                "encounter": "encounter",
                "side": "side",
            },
        ),
        (
            ["Image Name", "Whale ID", "Lat.", "LON", "Date taken"],
            {
                "filename": "Image Name",
                "individual": "Whale ID",
                "latitude": "Lat.",
                "longitude": "LON",
                "date": "Date taken",
            },
        ),
        (["file", "name"], {"filename": "file", "individual": "name"}),
        (["colour", "weather"], {}),
    ],
)
def test_guess_columns_knows_what_teams_write(header, expected):
    assert guess_columns(header) == expected
