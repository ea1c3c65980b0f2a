"""Overclustering: the reduction and the clusters against plain computations, and what cannot be clustered."""

from dataclasses import replace

import numpy as np
import pytest

from eval.metrics.segmentation import match_clusters, merge_clusters
from eval.segment.overclustering import cluster, matching_of, reduce_tokens, spread
from eval.segment.protocols import PROTOCOLS
from flsl.confusion import confusion, mean_iou
from flsl.runtime.errors import UserError

pytest.importorskip("faiss", reason="clustering needs the extra 'segmentation'")
PROTOCOL = PROTOCOLS["overclustering-leopart"]


def test_reduction_is_that_of_scikit_learn():
    pytest.importorskip("sklearn")
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    random = np.random.default_rng(0)
    tokens = (random.normal(size=(4000, 12)) @ random.normal(size=(12, 12)) * 3 + 40).astype(np.float16)
    tokens[:, 5] = 7  # a dimension that says nothing
    given = tokens.copy()
    found = reduce_tokens(tokens, 4)
    assert (tokens == given).all()
    wanted = PCA(4, svd_solver="full").fit_transform(StandardScaler().fit_transform(tokens.astype(np.float64)))
    signs = np.sign((found * wanted).sum(axis=0))
    np.testing.assert_allclose(found * signs, wanted, atol=2e-3)


def test_few_dimensions_stay():
    assert reduce_tokens(np.random.default_rng(0).normal(size=(100, 5)).astype(np.float32), 50).shape == (100, 5)


@pytest.fixture(scope="module")
def quarters():
    """Tokens of 6 images, (6, 8, 8, 16): each quarter of an image has one of four classes, with noise; and the truth."""
    random = np.random.default_rng(1)
    classes = np.stack([random.permutation(4).reshape(2, 2) for _ in range(6)])
    centers = random.normal(size=(4, 16)) * 10
    tokens = centers[classes.repeat(4, axis=1).repeat(4, axis=2)] + random.normal(size=(6, 8, 8, 16))
    return tokens.astype(np.float32), classes.repeat(10, axis=1).repeat(10, axis=2)


@pytest.mark.parametrize("clusters", [9, 16])
def test_classes_that_lie_apart_are_found(quarters, clusters):
    tokens, truth = quarters
    points = reduce_tokens(tokens.reshape(-1, 16), 50)
    for seed in (0, 1):
        maps = spread(cluster(points, replace(PROTOCOL, clusters=clusters), seed).reshape(6, 8, 8), 20)
        assert maps.shape == (6, 20, 20)
        assert maps.dtype == np.uint16
        matrix = confusion(truth, maps, 4, clusters)
        assert mean_iou(merge_clusters(matrix, match_clusters(matrix, matching_of(clusters, 4)))) == 100
    assert matching_of(4, 4) == "one_to_one"


def test_seeds_give_other_clusterings_and_the_same_again(capfd):
    points = np.random.default_rng(2).normal(size=(256, 8)).astype(np.float32)
    first, second, again = (cluster(points, replace(PROTOCOL, clusters=10), seed) for seed in (0, 1, 0))
    assert (first != second).any()
    assert (first == again).all()
    assert capfd.readouterr() == ("", "")  # faiss complains of fewer than 39 points per cluster otherwise


def test_clusters_are_the_best_of_five_runs_of_a_hundred_iterations():
    import faiss

    points = np.random.default_rng(3).normal(size=(3000, 8)).astype(np.float32)
    plain = faiss.Kmeans(8, 40, niter=100, nredo=5, seed=1)
    plain.train(points)
    assert (cluster(points, replace(PROTOCOL, clusters=40), 1) == plain.index.search(points, 1)[1][:, 0]).all()
    assert (PROTOCOL.clusters, PROTOCOL.components, len(PROTOCOL.parts)) == (500, 50, 5)


def test_clusters_are_spread_by_nearest_neighbor():
    maps = np.arange(500, 784 + 500, dtype=np.uint16).reshape(1, 28, 28)
    found = spread(maps, 100)
    rows = np.floor(np.arange(100) * 0.28).astype(int)
    assert (found[0] == maps[0][rows][:, rows]).all()


def test_what_cannot_be_clustered():
    points = np.random.default_rng(0).normal(size=(16, 8)).astype(np.float32)
    with pytest.raises(UserError, match="16 tokens cannot make 500 clusters"):
        cluster(points, PROTOCOL, 0)
    points[3, 3] = np.nan
    with pytest.raises(UserError, match="NaN"):
        reduce_tokens(points, 4)
