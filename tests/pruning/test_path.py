"""Steps, masks and the rule that chooses: against slow twins, without a network."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from fairexit.config import PruneConfig
from fairexit.errors import UserError
from fairexit.pruning.masks import load_masks, pack, sparsity, unpack, zero
from fairexit.pruning.path import (
    Measured,
    Step,
    Trace,
    choose,
    ending,
    fractions,
    masks_of,
    remove,
    walk,
)
from fairexit.runs import Run
from trained import KilledError


def measured(f1, eodd):
    values = {"accuracy": 0.0, "f1": f1, "eodd": eodd, "eopp1": 0.0}
    return Measured(values, values, 0.9)


def steps_of(*values):
    return [Step(0, i, 0.3, i / 10, measured(f1, eodd)) for i, (f1, eodd) in enumerate(values)]


@given(st.integers(1, 40), st.lists(st.floats(0, 1), min_size=1, max_size=4), st.integers(0, 99))
def test_remove_takes_the_lowest_and_what_is_gone_stays(size, shares, seed):
    rng = np.random.default_rng(seed)
    removed, gone = torch.zeros(size, dtype=torch.uint8), set()
    for number, share in enumerate(sorted(shares), 1):
        scores = rng.integers(-3, 4, size).astype(np.float32)  # ties
        remove(removed, {"a": torch.from_numpy(scores)}, share, number)
        order = [i for i in np.argsort(scores, kind="stable") if i not in gone]
        new = set(order[: round(share * size) - len(gone)])
        assert set(np.flatnonzero(removed.numpy() == number)) == new
        gone |= new
    assert set(np.flatnonzero(removed.numpy())) == gone


def test_a_saliency_that_is_no_number():
    with pytest.raises(UserError, match="the saliency is not finite"):
        remove(torch.zeros(2, dtype=torch.uint8), {"a": torch.tensor([1.0, torch.nan])}, 0.5, 1)


def parameters():
    torch.manual_seed(0)
    return {"a": torch.randn(3, 4), "b": torch.randn(8)}


def walked(config, answers, trace=None, store=None):
    """A walk by magnitude over scripted answers of validation."""
    held, queue = parameters(), list(answers)
    trace = trace or Trace(steps_of((0.5, 0.1)))
    seen = []

    def score(step, beta):
        seen.append((step, beta))
        return {name: p.abs() for name, p in held.items()}

    walk(
        held,
        config,
        score=score,
        measure=lambda: queue.pop(0),
        trace=trace,
        store=store or (lambda trace: None),
    )
    return trace, held, seen


def test_a_walk_reaches_its_ratio_in_equal_nested_steps():
    falling = [measured(0.5, 0.1 - i / 100) for i in range(1, 5)]
    trace, held, seen = walked(PruneConfig(ratio=0.8, steps=4), falling)
    assert [step.fraction for step in trace.steps] == [0.0, 0.2, 0.4, 0.6, 0.8]
    assert seen == [(1, 0.33), (2, 0.33), (3, 0.33), (4, 0.33)]
    assert trace.ended == "the ratio is reached"
    masks = [masks_of(trace.removed[0], held, number) for number in range(5)]
    for before, after in pairwise(masks):
        assert all((after[k] <= before[k]).all() for k in after)
    assert all(mask.all() for mask in masks[0].values())
    for name, original in parameters().items():
        assert torch.equal(held[name], original * masks[4][name])
    flat = torch.cat([p.flatten() for p in parameters().values()]).abs()
    cut = torch.cat([m.flatten() for m in masks[4].values()])
    assert flat[cut].min() > flat[~cut].max()


@pytest.mark.parametrize(
    ("answers", "config", "length", "ended"),
    [
        ([(0.1, 0.9)] * 5, {}, 5, "the ratio is reached"),
        ([(0.5, 0.2)], {"patience": 1}, 1, "Eodd has not fallen for 1 step"),
        ([(0.5, 0.2), (0.5, 0.05), (0.5, 0.05), (0.5, 0.06)], {"patience": 2}, 4, "for 2 step"),
        ([(0.5, 0.05), (0.47, 0.01)], {"patience": 1}, 2, "F1 fell by more than 0.02"),
        ([(0.1, 0.9)] * 5, {"stop": False}, 5, "the ratio is reached"),
    ],
)
def test_where_a_walk_ends(answers, config, length, ended):
    answers = [measured(*a) for a in answers]
    trace, _, _ = walked(PruneConfig(ratio=0.5, **config), answers)
    assert len(trace.steps) == length + 1
    assert ended in trace.ended


def test_a_sweep_starts_anew_for_each_beta():
    config = PruneConfig(ratio=[0.6, 0.2], beta=[0.5, 0.0])
    trace, _, seen = walked(config, [measured(0.1, 0.9)] * 4)
    assert seen == [(1, 0.0), (2, 0.0), (1, 0.5), (2, 0.5)]
    assert [s.fraction for s in trace.steps] == [0, 0.2, 0.6, 0.2, 0.6]
    assert [s.trail for s in trace.steps] == [0, 0, 0, 1, 1]
    assert torch.equal(trace.removed[0], trace.removed[1])
    assert ending(trace.steps, PruneConfig(steps=9, patience=9, tolerance=1)) == ""


def test_ratio_zero_walks_nowhere():
    trace, held, seen = walked(PruneConfig(ratio=0.0), [])
    assert (len(trace.steps), seen) == (1, [])
    assert all(torch.equal(held[k], v) for k, v in parameters().items())
    assert fractions(PruneConfig(ratio=[0.0, 0.3])) == [0.3]


@pytest.mark.parametrize(
    ("values", "chosen", "reason"),
    [
        ([(0.5, 0.1), (0.49, 0.08), (0.49, 0.08), (0.4, 0.01)], 1, "the lowest Eodd"),
        ([(0.5, 0.1), (0.49, 0.2), (0.4, 0.01)], 0, "nothing is pruned: no step has a lower"),
    ],
)
def test_which_step_is_taken(values, chosen, reason):
    index, why = choose(steps_of(*values), PruneConfig())
    assert index == chosen
    assert why.startswith(reason)
    assert choose(steps_of(*values), PruneConfig(stop=False))[0] == len(values) - 1


def test_killed_after_any_step_it_goes_on(tmp_path):
    config = PruneConfig(ratio=0.8, steps=4, patience=4)
    answers = [measured(0.5, 0.1 - i / 100) for i in range(1, 5)]
    whole, weights, _ = walked(config, answers)
    file = tmp_path / "checkpoints" / "path.safetensors"
    for kill in range(1, 5):

        def store(trace, kill=kill):
            trace.save(file, "stamp")
            if len(trace.steps) == kill + 1:
                raise KilledError

        with pytest.raises(KilledError):
            walked(config, answers, store=store)
        trace, again, seen = walked(config, answers[kill:], Trace.load(file, "stamp"))
        assert len(seen) == 4 - kill
        assert trace.steps == whole.steps
        assert all(torch.equal(again[k], weights[k]) for k in weights)
    with pytest.raises(UserError, match="holds a pruning of another network"):
        Trace.load(file, "other")
    file.write_bytes(b"x")
    with pytest.raises(UserError, match="is damaged"):
        Trace.load(file, "stamp")


@given(st.integers(1, 5), st.integers(1, 9), st.integers(0, 99))
def test_masks_are_packed_to_bits_and_back(rows, columns, seed):
    net = nn.Linear(columns, rows)
    kept = torch.rand(rows, columns, generator=torch.Generator().manual_seed(seed)) < 0.5
    packed = pack({"weight": kept})
    assert len(packed["weight"]) == -(-rows * columns // 8)
    assert torch.equal(unpack(packed, net)["weight"], kept)
    before = net.weight.detach().clone()
    zero(dict(net.named_parameters()), {"weight": kept})
    assert torch.equal(net.weight[kept], before[kept])
    assert (net.weight[~kept] == 0).all()
    (row,) = sparsity({"weight": kept})
    assert row == {"name": "weight", "parameters": rows * columns, "zeros": int((~kept).sum())}


def test_masks_of_another_network(tmp_path):
    packed = pack({"weight": torch.ones(9, 9, dtype=torch.bool)})
    with pytest.raises(ValueError, match="mask of 'weight' fits no parameter"):
        unpack(packed, nn.Linear(2, 2))
    run = Run(tmp_path)
    with pytest.raises(UserError, match="has not been pruned"):
        load_masks(run, nn.Linear(2, 2))
    run.masks.write_bytes(b"x")
    with pytest.raises(UserError, match=r"masks\.safetensors is damaged"):
        load_masks(run, nn.Linear(2, 2))


def test_a_step_at_which_one_class_answers_is_not_chosen():
    steps = steps_of((0.7, 0.3), (0.7, 0.2), (0.7, 0.0))
    collapsed = replace(steps[2].measured, main_answer_share=0.99)
    steps[2] = replace(steps[2], measured=collapsed)
    assert choose(steps, PruneConfig())[0] == 1
    steps[0] = replace(steps[0], measured=collapsed)
    steps[1] = replace(steps[1], measured=collapsed)
    assert choose(steps, PruneConfig())[0] == 0, "the unpruned network had collapsed already"
