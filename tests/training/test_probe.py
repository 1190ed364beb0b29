"""The linear reader of the attribute: chance, certainty, lesions of several images."""

import math

import torch

from fairexit.training.probe import probe_accuracy


def drawn(n=2000, width=8, images=1, seed=0):
    """Features that know the lesion and nothing of the group, `images` of each lesion."""
    generator = torch.Generator().manual_seed(seed)
    clusters = torch.arange(n // images).repeat_interleave(images)
    z = torch.randn(n // images, width, generator=generator)[clusters]
    z = z + 0.3 * torch.randn(n, width, generator=generator)
    groups = torch.randint(0, 2, (n // images,), generator=generator)[clusters]
    return z, groups, clusters


def test_features_that_know_nothing_give_chance():
    assert abs(probe_accuracy(*drawn(), num_groups=2) - 0.5) < 0.05


def test_features_that_know_all_give_one():
    z, groups, clusters = drawn()
    z[:, 0] += 10 * groups
    assert probe_accuracy(z, groups, clusters, num_groups=2) > 0.99


def test_a_lesion_is_not_recognised_by_its_other_image():
    # As many features as lesions, so that an image of a lesion seen before would be known again.
    z, groups, clusters = drawn(400, width=200, images=2)
    assert abs(probe_accuracy(z, groups, clusters, num_groups=2) - 0.5) < 0.1
    halves = torch.arange(400)
    assert probe_accuracy(z, groups, halves, num_groups=2) > 0.8, "images on both sides would be"


def test_groups_weigh_the_same_and_unknown_ones_are_left_out():
    z, groups, clusters = drawn()
    few = groups.clone()
    few[(groups == 1) & (torch.arange(2000) % 7 > 0)] = -1
    z[:, 0] += 10 * groups
    assert probe_accuracy(z, few, clusters, num_groups=2) > 0.99


def test_one_group_alone_cannot_be_read():
    z, _, clusters = drawn()
    assert math.isnan(
        probe_accuracy(z, torch.zeros(2000, dtype=torch.long), clusters, num_groups=2)
    )
    groups = (clusters % 2).clone()  # the one group in the one half, the other in the other
    assert math.isnan(probe_accuracy(z, groups, clusters, num_groups=2))
