"""Rows of a table find their images however the table writes them."""

import re
import unicodedata

import pytest

from fairexit.data.matching import ENDING, NUMBER, PLACE, SPELLING, find_images
from fairexit.errors import UserError


@pytest.fixture
def folder(tmp_path):
    """A folder of files without content, for their names alone."""

    def make(*names):
        for name in names:
            file = tmp_path / "imgs" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"x")
        return tmp_path / "imgs"

    return make


@pytest.mark.parametrize("name", ["a/x0.png", "x0.png", "x0", "a/x0"])
def test_paths_and_names_with_or_without_ending_are_exact(folder, name):
    files = find_images(folder("a/x0.png", "a/x1.png"), [name])
    assert files.paths[name].endswith("imgs/a/x0.png")
    assert files.matched == {}
    assert files.unlisted == 1


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("a\\x0.png", SPELLING),
        ("./a/x0.png", SPELLING),
        (" x0.png ", SPELLING),
        ("x0.PNG", SPELLING),
        ("A/X0", SPELLING),
        ("x0.jpg", ENDING),
        ("a\\x0.TIF", ENDING),
        ("imgs/a/x0.png", PLACE),
        ("../imgs/a/x0.png", PLACE),
        ("/data/study/a/x0.png", PLACE),
        ("C:\\study\\imgs\\a\\x0.jpg", PLACE),
    ],
)
def test_other_spellings_are_matched_and_counted(folder, name, way):
    files = find_images(folder("a/x0.png", "b/x1.png"), [name, "x1"])
    assert files.paths[name].endswith("imgs/a/x0.png")
    assert files.matched == {way: 1}


def test_unicode_forms_and_numbers(folder):
    composed = "M\u00fcller.png"
    imgs = folder(unicodedata.normalize("NFD", composed), "123.jpg", "7.jpg")
    files = find_images(imgs, [composed, "123.0", "7"])
    assert len(files.paths) == 3
    assert files.matched == {NUMBER: 1, SPELLING: 1}


@pytest.mark.parametrize("name", ["b/x0.png", "x", "x0.1", "0.png", "x00", "other/a/x0.png", ""])
def test_what_is_not_the_same_is_not_matched(folder, name):
    files = find_images(folder("a/x0.png"), [name])
    assert files.paths == {}
    assert files.reasons == {name: "missing file"}


def test_a_kind_that_is_not_read_is_told_from_a_missing_file(folder):
    imgs = folder("a.heic", "sub/b.pdf", "c.png")
    files = find_images(imgs, ["a", "b.jpg", "c", "d"])
    assert files.reasons == {
        "a": "a kind that is not read (.heic)",
        "b.jpg": "a kind that is not read (.pdf)",
        "d": "missing file",
    }


@pytest.mark.parametrize(
    ("names", "ids", "message"),
    [
        (["x.jpg", "x.png"], ["x.tif"], "id 'x.tif' fits both x.jpg and x.png"),
        (["a/X.png", "b/x.png"], ["x.PNG"], "id 'x.PNG' fits both a/X.png and b/x.png"),
        (["x.png"], ["/12/x.png", "/13/x.png"], "ids '/12/x.png' and '/13/x.png' both fit x.png"),
        (["x.png"], ["X.png", "x.tif"], "ids 'X.png' and 'x.tif' both fit x.png"),
    ],
)
def test_an_ambiguity_is_an_error_that_names_both(folder, names, ids, message):
    with pytest.raises(UserError, match=re.escape(message)):
        find_images(folder(*names), ids)


def test_an_exact_name_takes_the_image_from_a_loose_one(folder):
    files = find_images(folder("x.jpg"), ["x.png", "x.jpg"])
    assert list(files.paths) == ["x.jpg"]
    assert files.reasons == {"x.png": "missing file"}
    assert files.matched == {}
