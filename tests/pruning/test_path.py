"""Steps, masks and the rule that chooses: against slow twins, without a network."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from fairexit.config_prune import PruneConfig
from fairexit.errors import UserError
from fairexit.pruning.edits import apply, to_zero
from fairexit.pruning.masks import load_masks, pack, unpack
from fairexit.pruning.path import choose, ending, fractions, mark, walk
from fairexit.pruning.trace import Measured, Step, Trace
from fairexit.pruning.units import count_edited, masks_of, units_of_weights
from fairexit.pruning.weights import PathWeights
from fairexit.runs import Run
from trained import KilledError


def measured(f1, eodd):
    values = {"accuracy": 0.0, "f1": f1, "eodd": eodd, "eopp1": 0.0}
    return Measured(values, values, 0.9)


def steps_of(*values):
    return [Step(0, i, 0.3, i / 10, measured(f1, eodd)) for i, (f1, eodd) in enumerate(values)]


@given(st.integers(1, 40), st.lists(st.floats(0, 1), min_size=1, max_size=4), st.integers(0, 99))
def test_mark_takes_the_lowest_and_what_is_edited_stays(size, shares, seed):
    rng = np.random.default_rng(seed)
    edited, gone = torch.zeros(size, dtype=torch.uint8), set()
    for number, share in enumerate(sorted(shares), 1):
        scores = rng.integers(-3, 4, size).astype(np.float32)  # ties
        mark(edited, {"a": torch.from_numpy(scores)}, share, number=number, within=False)
        order = [i for i in np.argsort(scores, kind="stable") if i not in gone]
        new = set(order[: round(share * size) - len(gone)])
        assert set(np.flatnonzero(edited.numpy() == number)) == new
        gone |= new
    assert set(np.flatnonzero(edited.numpy())) == gone


@given(st.lists(st.integers(1, 12), min_size=1, max_size=4), st.floats(0, 1), st.integers(0, 99))
def test_within_blocks_each_block_has_its_share(sizes, share, seed):
    rng = np.random.default_rng(seed)
    scores = {str(i): torch.from_numpy(rng.normal(size=n)) for i, n in enumerate(sizes)}
    edited = torch.zeros(sum(sizes), dtype=torch.uint8)
    mark(edited, scores, share / 2, number=1, within=True)
    mark(edited, scores, share, number=2, within=True)
    for part, score in zip(edited.split(sizes), scores.values(), strict=True):
        lowest = np.argsort(score.numpy())[: round(share * len(score))]
        assert set(np.flatnonzero(part.numpy())) == set(lowest)


def test_a_saliency_that_is_no_number():
    scores = {"a": torch.tensor([1.0, torch.nan])}
    with pytest.raises(UserError, match="the saliency is not finite"):
        mark(torch.zeros(2, dtype=torch.uint8), scores, 0.5, number=1, within=False)


def small_net():
    torch.manual_seed(0)
    return nn.ParameterDict({"a": torch.randn(3, 4), "b": torch.randn(8)})


def parameters():
    return {name: p.detach() for name, p in small_net().named_parameters()}


UNITS = units_of_weights(dict(small_net().named_parameters()))


def walked(config, answers, trace=None, store=None, folder=None, train=None):
    """A walk by magnitude over scripted answers of validation."""
    net, queue = small_net(), list(answers)
    held = dict(net.named_parameters())
    trace = trace or Trace(steps_of((0.5, 0.1)))
    seen = []

    def score(step, beta):
        seen.append((step, beta))
        return {name: p.detach().abs() for name, p in held.items()}

    weights = PathWeights(
        net=net,
        units=units_of_weights(held),
        edit=to_zero,
        folder=folder,
        trained=train is not None,
    )
    if folder is None:
        weights.tidy = lambda trace, best: None
    walk(
        weights,
        config,
        score=score,
        within=False,
        train=(lambda *step: train(net, *step)) if train else lambda *step: None,
        measure=lambda: queue.pop(0),
        trace=trace,
        store=store or (lambda trace: None),
    )
    return trace, {name: p.detach() for name, p in held.items()}, seen


def test_a_walk_reaches_its_ratio_in_equal_nested_steps():
    falling = [measured(0.5, 0.1 - i / 100) for i in range(1, 5)]
    trace, held, seen = walked(PruneConfig(ratio=0.8, steps=4), falling)
    assert [step.fraction for step in trace.steps] == [0.0, 0.2, 0.4, 0.6, 0.8]
    assert seen == [(1, 0.33), (2, 0.33), (3, 0.33), (4, 0.33)]
    assert trace.ended == "the ratio is reached"
    masks = [masks_of(trace.edited[0], UNITS, number) for number in range(5)]
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
    assert torch.equal(trace.edited[0], trace.edited[1])
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
    apply(to_zero, dict(net.named_parameters()), {"weight": kept})
    assert torch.equal(net.weight[kept], before[kept])
    assert (net.weight[~kept] == 0).all()
    units = units_of_weights({"weight": net.weight})
    (row,) = count_edited((~kept).flatten().to(torch.uint8), units, 1)
    assert row == {"name": "weight", "units": rows * columns, "edited": int((~kept).sum())}


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


def drift(net, trail, number, edited):
    """Training that moves what is not edited, differently at each step."""
    masks = masks_of(edited, UNITS)
    with torch.no_grad():
        for name, p in net.named_parameters():
            p.add_(masks[name] * number)


def test_trained_weights_of_the_last_and_the_best_step_are_kept(tmp_path):
    answers = [measured(0.5, gap) for gap in (0.09, 0.01, 0.05, 0.06)]
    config = PruneConfig(ratio=0.8, steps=4)
    trace, _, _ = walked(config, answers, folder=tmp_path, train=drift)
    assert sorted(f.name for f in tmp_path.iterdir()) == [
        "step-0-2.safetensors",
        "step-0-4.safetensors",
    ]
    assert choose(trace.steps, config)[0] == 2
    weights = PathWeights(net=small_net(), units=UNITS, edit=to_zero, folder=tmp_path, trained=True)
    weights.restore(0, 2, trace.edited[0])
    (tmp_path / "step-0-4.safetensors").unlink()
    with pytest.raises(UserError, match=r"step-0-4\.safetensors is missing or damaged"):
        weights.restore(0, 4, trace.edited[0])


def test_a_trained_walk_resumes_with_the_same_weights(tmp_path):
    config = PruneConfig(ratio=0.8, steps=4)
    answers = [measured(0.5, gap) for gap in (0.09, 0.01, 0.05, 0.06)]
    whole, weights, _ = walked(config, answers, folder=tmp_path / "a", train=drift)

    class KilledError(Exception):
        pass

    def store(trace):
        trace.save(tmp_path / "path", "stamp")
        if len(trace.steps) == 3:
            raise KilledError

    with pytest.raises(KilledError):
        walked(config, answers, store=store, folder=tmp_path / "b", train=drift)
    again = Trace.load(tmp_path / "path", "stamp")
    trace, resumed, _ = walked(config, answers[2:], again, folder=tmp_path / "b", train=drift)
    assert trace.steps == whole.steps
    assert all(torch.equal(resumed[k], v) for k, v in weights.items())
