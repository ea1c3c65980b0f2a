"""Where a student's tokens lie in the teacher's view, and the teacher's tokens there."""

import torch

from flsl.places import places_in_teacher, tokens_at

TOKENS = torch.randn(1, 16, 5, generator=torch.Generator().manual_seed(0))  # a view of 4 x 4
ALL = torch.arange(16)


def test_a_view_of_the_whole_finds_the_same_tokens_and_a_flipped_one_the_mirrored():
    for flip, flip_teacher in ((False, False), (True, True), (True, False), (False, True)):
        places = places_in_teacher(ALL, 4, (0, 0, 64, 64), 64, flip, flip_teacher)
        mirrored = ALL // 4 * 4 + 3 - ALL % 4
        wanted = TOKENS[:, mirrored if flip != flip_teacher else ALL]
        torch.testing.assert_close(tokens_at(TOKENS, places[None]), wanted, rtol=0, atol=1e-5)


def test_a_crop_finds_what_lies_between_tokens_and_at_the_edge_the_last_one():
    (corner,) = places_in_teacher(torch.tensor([0]), 2, (48, 16, 64, 32), 64, False, False)  # of 16 pixels, a token
    torch.testing.assert_close(corner, torch.tensor([52 / 32 - 1, 20 / 32 - 1]))
    found = tokens_at(TOKENS, torch.tensor([[[1.0, 1.0], [-1.0, -1.0], [0.0, -1.0]]]))
    wanted = torch.stack([TOKENS[0, 15], TOKENS[0, 0], TOKENS[0, 1:3].mean(0)])
    torch.testing.assert_close(found[0], wanted, rtol=0, atol=1e-5)
