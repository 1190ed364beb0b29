"""Which epoch's weights are kept where some epochs have collapsed."""

import itertools

import pytest

from fairexit.training.log import kept_epoch


def row(f1, eodd, share=0.5):
    return {"val_f1": f1, "val_eodd": eodd, "val_loss": 1 - f1, "val_main_answer": share}


ALIVE, FAIRER, CONSTANT, BETTER_CONSTANT = (
    row(0.6, 0.3), row(0.6, 0.1), row(0.7, 0.0, 0.99), row(0.8, 0.0, 1.0)
)  # fmt: skip


@pytest.mark.parametrize("select", ["f1", "eodd", "loss"])
def test_a_collapsed_epoch_is_never_kept_beside_another(select):
    for rows in itertools.permutations([ALIVE, CONSTANT, BETTER_CONSTANT]):
        assert rows[kept_epoch(rows, select) - 1] is ALIVE


def test_the_f1_of_a_collapsed_epoch_is_no_bar_for_the_others():
    for rows in itertools.permutations([ALIVE, FAIRER, BETTER_CONSTANT]):
        assert rows[kept_epoch(rows, "eodd") - 1] is FAIRER


def test_where_every_epoch_has_collapsed_the_best_is_kept():
    assert kept_epoch([CONSTANT, BETTER_CONSTANT, CONSTANT], "f1") == 2


def test_a_share_below_the_limit_is_no_collapse():
    assert kept_epoch([ALIVE, row(0.7, 0.0, 0.98)], "f1") == 2
