"""Groups made from the values of a column."""

import numpy as np
import pytest

from fairexit.errors import UserError
from fairexit.tabular.groupings import (
    Grouping,
    make_groups,
    parse_bins,
    parse_merges,
    range_names,
)
from fairexit.tabular.names import is_unknown, unknown_mask


def made(values, attribute="age", **options):
    cells = list(dict.fromkeys(values))
    codes = np.array([cells.index(value) for value in values])
    grouping = Grouping(**options)
    result = make_groups(attribute, codes, cells, grouping=grouping)
    return [*np.array([*result.names, None])[result.index]], result


def test_ranges_of_whole_numbers():
    groups, result = made(["29", "30", "59.0", "60", "unknown", ""], bins={"age": (30, 60)})
    assert groups == ["<30", "30-59", "30-59", "60+", None, None]
    assert result.names == ("<30", "30-59", "60+")


def test_ranges_of_other_numbers_and_what_is_no_number():
    groups, _ = made(["0.1", "0.5"], bins={"age": (0.5,)})
    assert groups == ["<0.5", ">=0.5"]
    with pytest.raises(UserError, match=r"'old' is not a number.*'unknown_values'"):
        made(["1", "old"], bins={"age": (30,)})
    groups, _ = made(["1", "old"], bins={"age": (30,)}, unknown_values=["Old"])
    assert groups == ["<30", None]


def test_an_age_is_no_group():
    ages = [str(age) for age in range(20, 90)]
    with pytest.raises(UserError, match=r"'age' is a number with 70 values.*age=30,60"):
        made(ages)
    assert len(made([str(tone) for tone in range(1, 7)])[1].names) == 6


def test_values_that_are_merged():
    merge = {"skin": {"1": "light", "2": "light", "5": "dark"}}
    groups, result = made(["1", "2.0", "5", "3", "NA"], "skin", merge=merge)
    assert groups == ["light", "light", "dark", "3", None]
    assert result.names == ("light", "dark", "3")
    with pytest.raises(UserError, match="names '7', which does not occur"):
        made(["1", "2"], "skin", merge={"skin": {"7": "x"}})


def test_small_groups_are_left_out_and_named():
    groups, result = made(["a"] * 5 + ["b"] * 2, "g", min_group=3)
    assert groups == ["a"] * 5 + [None] * 2
    assert result.notes == ("groups of 'g' with fewer than 3 samples are left out: b (2)",)


def test_forms_of_one_group_are_one_group():
    groups, result = made(["female", "Female", "female ", "male"], "sex")
    assert groups == ["female"] * 3 + ["male"]
    assert "'Female'" in result.notes[0]


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (parse_bins, "age", "write it as in age=30,60"),
        (parse_bins, "age=x", "give cuts"),
        (parse_merges, "skin=1,2", "write it as in skin="),
        (parse_merges, "skin=1:a;1:b", "puts '1' into both 'a' and 'b'"),
    ],
)
def test_texts_of_another_form(parse, text, message):
    with pytest.raises(UserError, match=message):
        parse([text])


@pytest.mark.parametrize("more", [(), ("999",), ("missing value",)])
def test_the_mask_of_unknown_names_is_that_of_their_keys(more):
    names = ["NA", "unknown", "Unknown ", "UNKNOWNX", " n/a", "0.0", "00", "patient-1234567", "-"]
    names += ["none\u200b", "999.0", "999.000000000000", "x" * 30, "missing  VALUE", "missing"]
    assert unknown_mask(names, more).tolist() == [is_unknown(name, more) for name in names]


def test_names_of_ranges_differ():
    names = range_names([20200101, 20200102, 20200104], True)
    assert names == ("<20200101", "20200101", "20200102-20200103", "20200104+")
    assert range_names([0.12345671, 0.12345672], False)[1] == "0.12345671 to <0.12345672"


def test_a_target_of_a_merge_is_a_name_like_others():
    merge = {"g": {"1": "dark", "2": "Light"}}
    groups, result = made(["1", "2", "Dark", "light"], "g", merge=merge)
    assert len(result.names) == 2
    assert groups[0] == groups[2]
    assert groups[1] == groups[3]
