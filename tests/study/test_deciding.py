"""What would decide a printed difference."""

import math

import pytest

from fairexit.stats.contrasts import Needed
from fairexit.study.deciding import Design, decides, rounded_up

SPLIT, FOLDS, ABSENT = Design(1000, 5000, 1), Design(5000, 5000, 5), Design(1000, None, 1)


@pytest.mark.parametrize(
    ("needed", "design", "text"),
    [
        # Two rows of three seeds: 12 runs for 9 seeds, 30 for folds.
        (
            Needed(4.15, 8.2),
            SPLIT,
            "9 seeds or 5 folds at 3 seeds or 4,200 test images; cheapest: 9 seeds (12 runs more)",
        ),
        (
            Needed(4.15, 40),
            SPLIT,
            "5 folds at 3 seeds or 40 seeds or 4,200 test images; cheapest: 5 folds at 3 seeds "
            "(30 runs more)",
        ),
        (Needed(5.1, math.inf), SPLIT, "5,100 test images"),
        (Needed(math.inf, 8.2), SPLIT, "9 seeds; cheapest: 9 seeds (12 runs more)"),
        (Needed(math.inf, math.inf), SPLIT, "nothing of it"),
        (Needed(math.inf, 5000.0), SPLIT, "nothing of it"),
        # A study in folds already has all images; each seed costs five runs for each row.
        (
            Needed(0.9, 4.0),
            FOLDS,
            "4 seeds or 4,500 test images; cheapest: 4 seeds (10 runs more)",
        ),
        (Needed(2.0, math.inf), ABSENT, "2,000 test images"),
        (Needed(2.0, None), ABSENT, "2,000 test images"),
    ],
)
def test_ways_to_a_decision(needed, design, text):
    assert str(decides(needed, design, seeds=3, rows=2)) == text


def test_new_images_are_the_cheapest_only_where_nothing_else_is():
    for seeds in (4.0, 400.0, math.inf):
        ways = decides(Needed(1.1, seeds), SPLIT, seeds=3, rows=8).ways
        assert ways[-1].runs is None
        assert all(way.runs is not None for way in ways[:-1])
        assert len(ways) > 1


def test_more_seeds_are_more_than_there_are():
    assert decides(Needed(2.0, 1.5), SPLIT, seeds=3, rows=2).seeds == 4


@pytest.mark.parametrize(("number", "rounded"), [(0.4, 1), (7.2, 8), (99.5, 100), (20871, 21000)])
def test_numbers_of_images_are_rounded_up(number, rounded):
    assert rounded_up(number) == rounded
