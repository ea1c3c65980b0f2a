"""The head at its beginning, and what tells that its assignments collapse."""

import math

import pytest
import torch

from flsl.head import Head
from flsl.model import assignment_health
from flsl.objective import HeadConfig


@pytest.mark.parametrize("layers", [1, 3])
def test_weights_begin_small_and_biases_at_zero(layers):
    head = Head(192, HeadConfig(512, 256, 128, layers=layers))
    names = ["mlp.0", "mlp.2", "mlp.4"] if layers == 3 else ["mlp"]
    weights = {*(f"{name}.weight" for name in names), "last_layer.weight_v"}
    state = head.state_dict()
    assert state.keys() == {*weights, *(f"{name}.bias" for name in names), "last_layer.weight_g"}
    for name, values in state.items():
        if name in weights:
            assert values.std().item() == pytest.approx(0.02, rel=0.05)
        else:
            assert (values == (name == "last_layer.weight_g")).all(), name


def test_health_is_that_of_the_assignments():
    """Of four rows the student takes centroids 0, 0, 1 and 2, the teacher 0, 1, 1 and 3."""
    student, teacher = (5.0 * torch.eye(4)[rows] for rows in ([0, 0, 1, 2], [0, 1, 1, 3]))
    health = assignment_health(torch.tensor([0.5, 0.25, 0.25, 0.0]), student, teacher)
    entropy = 0.5 * math.log(2) + 0.5 * math.log(4)
    assert health["assignment_entropy"].item() == pytest.approx(entropy / math.log(4))
    assert (health["centroids_in_use"], health["teacher_student_agreement"]) == (3, 0.5)
