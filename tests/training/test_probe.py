"""The linear reader of the attribute: chance, certainty, lesions of several images."""

import math

import pytest
import torch

from fairexit.training.probe import fitting_half, probe_accuracy


def read(z, groups, clusters, seed=0):
    """The probe's accuracy for two groups."""
    return probe_accuracy(z, groups, fitting_half(groups, clusters, seed), num_groups=2)


def drawn(n=2000, width=8, images=1, seed=0):
    """Features that know the lesion and nothing of the group, `images` of each lesion."""
    generator = torch.Generator().manual_seed(seed)
    clusters = torch.arange(n // images).repeat_interleave(images)
    z = torch.randn(n // images, width, generator=generator)[clusters]
    z = z + 0.3 * torch.randn(n, width, generator=generator)
    groups = torch.randint(0, 2, (n // images,), generator=generator)[clusters]
    return z, groups, clusters


def test_features_that_know_nothing_give_chance():
    assert abs(read(*drawn()) - 0.5) < 0.05


def test_features_that_know_all_give_one():
    z, groups, clusters = drawn()
    z[:, 0] += 10 * groups
    assert read(z, groups, clusters) > 0.99


def test_a_lesion_is_not_recognised_by_its_other_image():
    # As many features as lesions, so that an image of a lesion seen before would be known again.
    z, groups, clusters = drawn(400, width=200, images=2)
    assert abs(read(z, groups, clusters) - 0.5) < 0.1
    other_images = torch.arange(400) % 2 == 0
    accuracy = probe_accuracy(z, groups, other_images, num_groups=2)
    assert accuracy > 0.8, "images on both sides would be"


def test_groups_weigh_the_same_and_unknown_ones_are_left_out():
    z, groups, clusters = drawn()
    few = groups.clone()
    few[(groups == 1) & (torch.arange(2000) % 7 > 0)] = -1
    z[:, 0] += 10 * groups
    assert read(z, few, clusters) > 0.99


def test_one_group_alone_cannot_be_read():
    z, _, clusters = drawn()
    assert math.isnan(read(z, torch.zeros(2000, dtype=torch.long), clusters))
    groups = torch.zeros(2000, dtype=torch.long)
    groups[7] = 1  # a group of a single lesion is on one side only
    assert math.isnan(read(z, groups, clusters))


@pytest.mark.parametrize("period", [1, 2, 3])
def test_groups_in_any_order_are_on_both_sides(period):
    z, _, clusters = drawn(images=2)
    groups = clusters // period % 2  # at period 1, clusters of even number are all of one group
    z[:, 0] += 10 * groups
    assert read(z, groups, clusters) > 0.99


def test_halves_are_drawn_by_whole_clusters_and_by_group():
    _, groups, clusters = drawn(600, images=3)
    groups[:30] = -1
    groups[30:36] = 2  # two lesions
    half = fitting_half(groups, clusters, 0)
    assert (half.view(-1, 3).sum(1) % 3 == 0).all()
    for group in (-1, 0, 1, 2):
        share = half[groups == group].float().mean()
        assert share == pytest.approx(0.5, abs=0.02)
    assert torch.equal(half, fitting_half(groups, clusters, 0))
    assert not torch.equal(half, fitting_half(groups, clusters, 1))
