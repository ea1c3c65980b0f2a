"""The votes equal a plain count."""

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from eval.knn.protocol import BBOX
from eval.knn.run import knn_scores
from eval.knn.vote import classify


@pytest.fixture
def features(device):
    generator = torch.Generator().manual_seed(0)
    bank = normalize(torch.randn(300, 8, generator=generator, dtype=torch.float64), dim=-1)
    queries = normalize(torch.randn(7, 9, 8, generator=generator, dtype=torch.float64), dim=-1)
    labels = torch.randint(0, 5, (300,), generator=generator)
    return queries.to(device), bank.to(device), labels.to(device)


def test_votes_equal_a_plain_count(features, device):
    queries, bank, labels = features
    neighbors = (1, 10, 300)
    tokens, images = classify(queries, bank, labels, 5, neighbors, BBOX.temperature, batch=3)
    for i, image in enumerate(queries):
        for column, k in enumerate(neighbors):
            together = [0.0] * 5
            for j, query in enumerate(image):
                similarity = (bank @ query).tolist()
                votes = [0.0] * 5
                for row in sorted(range(300), key=lambda row: -similarity[row])[:k]:
                    votes[labels[row]] += math.exp(similarity[row] / BBOX.temperature)
                assert tokens[i, j, column] == votes.index(max(votes))
                together = [a + b / sum(votes) for a, b in zip(together, votes)]
            assert images[i, column] == together.index(max(together))


def test_vote_and_any_of_9_are_two_figures():
    """Four images; the class is 0. Tokens: none right, one right, all right, five right."""
    tokens = np.ones((4, 9, len(BBOX.neighbors)), int)
    tokens[1, 0] = tokens[2] = tokens[3, :5] = 0
    votes = np.array([1, 1, 0, 0])[:, None].repeat(len(BBOX.neighbors), axis=1)
    values, intervals = knn_scores({"truth": np.zeros(4, int), "token_prediction": tokens, "vote_prediction": votes})
    assert (
        set(values) == set(intervals) == {f"{name}_k{k}" for name in ("vote", "any_of_9") for k in (10, 20, 100, 200)}
    )
    assert values["vote_k20"] == 50
    assert values["any_of_9_k20"] == 75
    interval = intervals["vote_k20"]
    assert 0 <= interval.low < 50 < interval.high <= 100
    assert interval.unit == "images"
