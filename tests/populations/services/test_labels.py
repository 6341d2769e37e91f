from __future__ import annotations

from datetime import date

import pytest

from populations.exceptions import ImportRefused
from populations.services.labels import (
    PathFinder,
    by_folders,
    by_table,
    read_day,
)
from populations.services.tables import guess_columns, read_table


def codes(plan, path):
    return [label["code"] for label in plan.rows[path]["labels"]]


def test_by_folders_takes_the_topmost_folder_that_differs():
    paths = ["all/T1/2016/a.jpg", "all/T2/b.jpg", "all/T2/2017/left_c.jpg"]

    plan = by_folders(paths, "top")

    assert [codes(plan, path) for path in paths] == [["T1"], ["T2"], ["T2"]]
    assert plan.rows[paths[2]]["labels"][0]["side"] == "left"


def test_by_folders_can_take_the_folder_a_photo_lies_in():
    plan = by_folders(["2016/T1/a.jpg", "2017/T1/b.jpg"], "parent")

    assert codes(plan, "2016/T1/a.jpg") == codes(plan, "2017/T1/b.jpg") == ["T1"]


def test_by_folders_takes_the_only_folder_for_the_individual():
    assert codes(by_folders(["T1/a.jpg", "T1/b.jpg"], "top"), "T1/a.jpg") == ["T1"]


def test_by_folders_leaves_photos_outside_folders_and_unknown_ones_unlabelled():
    plan = by_folders(["a.jpg", "T1/b.jpg", "Unknown/c.jpg"], "top")

    assert codes(plan, "a.jpg") == []
    assert codes(plan, "T1/b.jpg") == ["T1"]
    assert codes(plan, "Unknown/c.jpg") == []


def table_plan(paths, text):
    table = read_table(text.encode())
    return by_table(paths, table, guess_columns(table.header))


def test_by_table_joins_several_individuals_of_one_photo():
    plan = table_plan(
        ["a.jpg", "b.jpg"],
        "filename,individual,side\na.jpg,T1,L\na.jpg,T2,right\nb.jpg,T3;T4,\n",
    )

    assert plan.rows["a.jpg"]["labels"] == [
        {"code": "T1", "side": "left"},
        {"code": "T2", "side": "right"},
    ]
    assert codes(plan, "b.jpg") == ["T3", "T4"]
    assert plan.problems == []


def test_by_table_tells_every_problem_by_file_and_row():
    plan = table_plan(
        ["a.jpg", "x/b.jpg", "y/b.jpg"],
        "filename,individual,date,side,latitude,longitude\n"
        "a.jpg,T1,31.02.2020,up,95,10\n"
        "gone.jpg,T1,,,,\n"
        "b.jpg,T2,,,,\n"
        ",T3,,,,\n"
        "a.jpg,T1,,,,\n",
    )

    assert [(p.row, p.path) for p in plan.problems] == [
        (2, "a.jpg"),
        (2, "a.jpg"),
        (2, "a.jpg"),
        (3, "gone.jpg"),
        (4, "b.jpg"),
        (5, ""),
        (6, "a.jpg"),
    ]
    assert [p.message.split(";")[0] for p in plan.problems[:3]] == [
        "“up” is no side",
        "“31.02.2020” is no date",
        "“95” is no latitude in degrees",
    ]
    assert plan.problems[-1].message == "Row 2 says the same already."
    assert plan.n_missing == 1
    assert plan.rows["a.jpg"]["latitude"] is None


def test_by_table_keeps_what_the_first_row_says_of_an_encounter():
    plan = table_plan(
        ["a.jpg"], "filename,individual,encounter\na.jpg,T1,E1\na.jpg,T2,E2\n"
    )

    assert plan.rows["a.jpg"]["encounter"] == "E1"
    assert (
        plan.problems[0].message
        == "Another row gives the encounter E1; that one stays."
    )


def test_by_table_needs_the_column_of_the_file_names():
    with pytest.raises(ImportRefused, match="names of the files"):
        table_plan(["a.jpg"], "colour,weather\nblue,fine\n")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("T1/a.jpg", ["images/T1/a.jpg"]),
        ("t1\\A.JPG", ["images/T1/a.jpg"]),
        ("survey/images/T1/a.jpg", ["images/T1/a.jpg"]),
        ("a.jpg", ["images/T1/a.jpg", "images/T2/a.jpg"]),
        ("c.jpg", []),
        ("b.jpg", ["b.jpg"]),
    ],
)
def test_path_finder_finds_by_the_end_of_the_path(name, expected):
    finder = PathFinder(["images/T1/a.jpg", "images/T2/a.jpg", "b.jpg"])

    assert finder.find(name) == expected


@pytest.mark.parametrize(
    ("text", "is_month_first", "expected"),
    [
        ("2016-06-03", False, date(2016, 6, 3)),
        ("2016-06-03T10:11:12", False, date(2016, 6, 3)),
        ("2016:06:03", False, None),
        ("03/06/2016", False, date(2016, 6, 3)),
        ("03/06/2016", True, date(2016, 3, 6)),
        ("3.6.2016 12:00", False, date(2016, 6, 3)),
        ("20160603", False, date(2016, 6, 3)),
        ("2016-13-40", False, None),
        ("03/06/16", False, None),
        ("soon", False, None),
        ("", False, None),
    ],
)
def test_read_day_takes_usual_dates_only(text, is_month_first, expected):
    assert read_day(text, is_month_first=is_month_first) == expected


def test_dates_of_a_table_are_read_the_same_way_throughout():
    plan = table_plan(
        ["a.jpg", "b.jpg"],
        "filename,individual,date\na.jpg,T1,03/04/2020\nb.jpg,T1,12/31/2020\n",
    )

    assert plan.rows["a.jpg"]["date"] == "2020-03-04"
    assert plan.rows["b.jpg"]["date"] == "2020-12-31"
