"""Labels that are independent of the features."""

import numpy as np
import torch

from fairexit.evaluation.independence import permuted_labels
from fairexit.losses.snnl import exact_snnl


def test_whole_clusters_of_one_size_swap_labels():
    clusters = np.array([0, 0, 1, 2, 2, 3, 4, 4, 4])
    labels = np.array([0, 1, 5, 2, 3, 6, 7, 8, 9])
    permuted = permuted_labels(labels, clusters, 50)
    assert permuted.shape == (50, 9)
    for row in permuted:
        assert sorted(row) == sorted(labels)
        assert {tuple(row[[0, 1]]), tuple(row[[3, 4]])} == {(0, 1), (2, 3)}
        assert {row[2], row[5]} == {5, 6}
        assert row[6:].tolist() == [7, 8, 9], "no other cluster has its size"
    assert {tuple(row[[0, 1]]) for row in permuted} == {(0, 1), (2, 3)}
    assert (permuted == permuted_labels(labels, clusters, 50)).all()


def test_clusters_with_an_unknown_label_keep_their_labels():
    labels = np.array([-1, 0, 1, 0, 1, -1])
    permuted = permuted_labels(labels, np.arange(6), 20)
    assert (permuted[:, [0, 5]] == -1).all()
    assert (np.sort(permuted[:, 1:5], 1) == [0, 0, 1, 1]).all()
    assert len({tuple(row) for row in permuted}) > 1


def snnl_of(z, labels, clusters):
    """SNNL and what independence gives, at a temperature that sees few neighbours."""
    permuted = torch.from_numpy(permuted_labels(labels, clusters, 20))
    loss = exact_snnl(z, [torch.from_numpy(labels)], [0.05], permuted=[permuted])
    return float(loss.value), float(loss.independent)


def test_features_that_know_nothing_have_the_loss_of_independence():
    rng = np.random.default_rng(0)
    # Images of a cluster resemble each other and share their label by chance alone.
    clusters = np.repeat(np.arange(300), 3)
    z = rng.normal(size=(300, 4))[clusters] + 0.05 * rng.normal(size=(900, 4))
    labels = rng.integers(0, 2, 300)[clusters]
    value, independent = snnl_of(torch.from_numpy(z), labels, clusters)
    entropy = -sum(p * np.log(p) for p in np.bincount(labels) / 900)
    assert abs(value - independent) < 0.01
    assert entropy - value > 0.1, "the entropy does not see that images of a cluster stay together"
    z[:, 0] += 3 * labels
    value, independent = snnl_of(torch.from_numpy(z), labels, clusters)
    assert independent - value > 0.1
