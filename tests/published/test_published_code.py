"""What released code of the field computes and what its paper says, where the two differ.

Each test states a rule of a released program in a few lines, shows its consequence on numbers that
can be checked by hand, and what this library does there. docs/published_code.md names the programs.
"""

import argparse

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from fairexit.evaluation.thresholds import select
from fairexit.losses.cosine_snnl import cosine_snnl
from fairexit.metrics import dp_diff, eodd, eodd_paper, eopp1, group_confusion_matrix
from fairexit.models import create_model
from fairexit.pruning.soft_gap import soft_counts, soft_eodd


def gradient(loss, logits):
    return torch.autograd.grad(loss, logits, retain_graph=True)[0]


def test_a_penalty_of_answers_has_no_gradient():
    """FairAdaBN: the gap between the groups' shares of answers, counted from the largest logits."""
    logits = torch.tensor([[2.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.5, 0.0]], requires_grad=True)
    labels, groups = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 0, 1, 1])

    def share(group):
        answers = logits[groups == group].argmax(1)
        return F.one_hot(answers, 2).float().mean(0)

    penalty = (share(0) - share(1)).square().sum()
    assert penalty == 0.5
    assert not penalty.requires_grad
    loss = F.cross_entropy(logits, labels)
    assert torch.equal(gradient(loss + penalty, logits), gradient(loss, logits))
    # A gap of probabilities can be learned from.
    counts = soft_counts(logits.softmax(1), torch.tensor([0, 1, 0, 1]), groups, 2)
    assert gradient(soft_eodd(counts), logits).abs().min() > 0


def test_both_groups_divided_by_the_size_of_the_first():
    """FairAdaBN: parity of two groups that are given a class equally often is not zero."""
    y_pred = np.array([0, 1] * 50 + [0, 1] * 25)
    groups = np.array([0] * 100 + [1] * 50)
    released = abs(sum(y_pred[groups == 0] == 0) - sum(y_pred[groups == 1] == 0)) / 100
    assert released == 0.25
    assert dp_diff(group_confusion_matrix(y_pred, y_pred, sensitive_features=groups)) == 0


def test_opposite_gaps_cancel_before_the_absolute_value():
    """BMFT, and the metric of the multi-exit paper: signed gaps of TPR and FPR are added."""
    #                female: TPR 0.8, FPR 0.2   male: TPR 0.6, FPR 0.4
    y_true = np.array([1] * 10 + [0] * 10 + [1] * 10 + [0] * 10)
    y_pred = np.array([1] * 8 + [0] * 2 + [1] * 2 + [0] * 8 + [1] * 6 + [0] * 4 + [1] * 4 + [0] * 6)
    groups = np.array(["f"] * 20 + ["m"] * 20)
    counts = group_confusion_matrix(y_true, y_pred, sensitive_features=groups)
    assert eodd_paper(counts) == pytest.approx(0.0)
    assert eodd(counts) == pytest.approx(0.2)


def test_zero_products_are_not_a_cell():
    """BMFT: where group times class is 0 are all images but one cell, not the negatives."""
    group, label = np.array([1, 1, 0, 0]), np.array([1, 0, 1, 0])
    released = np.flatnonzero(group * label == 0)
    negatives = np.flatnonzero((group == 1) & (label == 0))
    assert released.tolist() == [1, 2, 3]
    assert negatives.tolist() == [1]


def released_snnl(maps, labels):
    """SCP: the sums over equal labels keep a sample's pair with itself, those over all do not."""
    unit = F.normalize(maps, dim=1)
    closeness = torch.exp(unit @ unit.T - 1)
    same = (labels[:, None] == labels).float()
    return -torch.log((closeness * same).sum(1) / closeness.fill_diagonal_(0).sum(1)).mean()


def test_a_pair_with_oneself_turns_the_order_of_channels():
    """SCP: the loss is negative where groups are pure, and rewards a few large groups."""
    torch.manual_seed(0)
    labels = torch.tensor([0, 0, 0, 1])
    assert released_snnl(torch.randn(4, 8), torch.zeros(4)) < 0
    read = torch.tensor([[1.0, 0.0], [1.0, 0.1], [1.0, -0.1], [-1.0, 0.0]])
    mixed = torch.tensor([[1.0, 0.0], [-1.0, 0.1], [0.0, 1.0], [1.0, 0.0]])
    ours = cosine_snnl(torch.stack([read, mixed]), labels)
    assert ours[0] < ours[1]  # the first map tells the groups apart
    gap = released_snnl(mixed.clone(), labels) - released_snnl(read.clone(), labels)
    assert abs(gap) < abs(ours[1] - ours[0])


def test_the_first_image_of_a_batch_decides_for_all():
    """The multi-exit paper: the confidence is that of the first row of the batch."""
    confidence = np.array([[0.9, 0.9], [0.6, 0.8]])  # of two images at exit 1 and the final one
    assert confidence[0, 0] >= 0.8  # so the whole batch would leave at exit 1
    assert select(confidence, 0.8, "final").tolist() == [0, 1]


def test_the_number_of_classes_from_the_data_at_hand():
    """The multi-exit paper: a last class that is absent and never answered is no class."""
    y_true, y_pred = np.array([0, 0, 1, 1] * 2), np.array([0, 0, 1, 1, 0, 1, 1, 1])
    groups = np.repeat([0, 1], 4)
    of_two = group_confusion_matrix(y_true, y_pred, sensitive_features=groups)
    of_three = group_confusion_matrix(y_true, y_pred, sensitive_features=groups, labels=[0, 1, 2])
    assert of_two.shape[-1] == int(max(y_true.max(), y_pred.max())) + 1 == 2
    assert eopp1(of_two) == 0.25
    # A class that nobody has is left out by name; counted as zero, as in the released metric, it
    # changes the mean: so the number of classes has to be known.
    assert eopp1(of_three) == 0.25
    assert eopp1(of_three, empty="zero") == pytest.approx(0.5 / 3)


def test_a_flag_of_type_bool_reads_false_as_true():
    """The multi-exit paper: `--train_teacher False` trains a teacher."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--train_teacher", type=bool, default=False)
    assert parser.parse_args(["--train_teacher", "False"]).train_teacher is True


def test_a_range_that_starts_at_one_is_an_epoch_short(tiny_run):
    """The multi-exit paper: `range(1, epochs)` trains 199 of 200 epochs."""
    assert len(range(1, 200)) == 199
    rows = (tiny_run.path / "log.csv").read_text().splitlines()[1:]
    assert len(rows) == tiny_run.config.train.epochs


def test_a_teacher_in_training_mode_depends_on_the_batch():
    """The multi-exit paper: the teacher is loaded at each step and never put in evaluation mode."""
    torch.manual_seed(0)
    net = create_model("resnet18", num_classes=3, image_size=32)
    images = torch.rand(4, 3, 32, 32)

    def answer(batch):
        with torch.no_grad():
            return net(batch)[-1].logits[0]

    net.train()
    assert not torch.allclose(answer(images), answer(images[:2]), atol=1e-4)
    net.eval()
    assert torch.allclose(answer(images), answer(images[:2]), atol=1e-4)


def test_a_loss_of_weighted_exits_in_one_script_alone():
    """The multi-exit paper: VGG-11 has the weights of the exits, ResNet-18 counts all alike."""
    weights = torch.tensor([0.3, 0.45, 0.6, 0.75, 0.9])
    losses = torch.ones(5)
    assert (weights * losses).sum() == 3
    assert losses.sum() == 5


def test_unknown_skin_type_counted_as_dark():
    """The multi-exit paper: a type outside 1 to 6 falls to the last branch, which is dark."""

    def released(skin_type):
        return "light" if 1 <= skin_type <= 3 else "dark"

    assert released(-1) == "dark"
