"""LOST and TokenCut: the public implementations' cases, plain computations, and the keys that they look at."""

from collections import deque
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.linalg import eig, eigh
from support.reference import read_case, reference_files

from eval.discovery import lost, tokencut
from eval.discovery.component import box_around
from eval.discovery.protocols import PROTOCOLS
from eval.discovery.tokencut import second_vector, second_vector_plain
from flsl.architecture import EncoderConfig
from flsl.checkpoint import load_encoder
from flsl.encoder import Encoder
from flsl.runtime.errors import UserError
from flsl.timm_network import create_network, describe_network

GRID = (7, 9)


def blobs(seed, grid=GRID, width=12):
    """Keys (h w, D) of a noisy ground with a blob of another direction in it."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[: grid[0], : grid[1]]
    center, radius = random.uniform(0.2, 0.8, 2) * grid, random.uniform(1.0, 2.6)
    inside = np.hypot(rows - center[0], columns - center[1]) < radius
    directions = random.normal(size=(2, width))
    keys = directions[inside.astype(int)] + random.normal(0, 0.8, (*grid, width))
    return torch.from_numpy(keys.reshape(-1, width).astype(np.float32))


def part_of(marked, seed, grid):
    """The tokens that one reaches from the seed by steps up, down, left and right on marked ones."""
    reached, waiting = {divmod(seed, grid[1])}, deque([divmod(seed, grid[1])])
    while waiting:
        row, column = waiting.popleft()
        for place in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            inside = 0 <= place[0] < grid[0] and 0 <= place[1] < grid[1]
            if inside and place not in reached and marked[place[0] * grid[1] + place[1]]:
                reached.add(place)
                waiting.append(place)
    found = np.zeros(grid, bool)
    found[tuple(zip(*reached))] = True
    return found


def lost_plainly(keys, grid, patches):
    keys = keys.double().numpy()
    count = len(keys)
    degree = [sum(keys[i] @ keys[j] > 0 for j in range(count) if j != i) for i in range(count)]
    ordered = sorted(range(count), key=degree.__getitem__)
    assert degree[ordered[0]] < degree[ordered[1]]  # else the seed is a matter of taste
    assert patches == count or degree[ordered[patches - 1]] < degree[ordered[patches]]
    voters = [j for j in ordered[:patches] if keys[ordered[0]] @ keys[j] > 0]
    marked = [sum(keys[j] @ keys[i] for j in voters) > 0 for i in range(count)]
    return part_of(marked, ordered[0], grid)


def tokencut_plainly(keys, grid, threshold, weak):
    keys = keys.double().numpy()
    keys /= np.linalg.norm(keys, axis=1, keepdims=True)
    weights = np.array([[1.0 if a @ b > threshold else weak for b in keys] for a in keys])
    laplacian = np.eye(len(keys)) - weights / weights.sum(axis=1, keepdims=True)
    values, vectors = eig(laplacian)
    vector = vectors[:, np.argsort(values.real)[1]].real
    seed = int(np.argmax(np.abs(vector)))
    vector = vector * np.sign(vector[seed])
    return part_of(vector > vector.mean(), seed, grid)


def test_constants_are_the_published_ones():
    lost, cut = PROTOCOLS["lost"], PROTOCOLS["tokencut"]
    assert (lost.key("voc2007"), lost.patches) == ("voc2007/lost@1", 100)
    assert (cut.key("coco20k"), cut.threshold, cut.weak) == ("coco20k/tokencut@1", 0.2, 1e-5)


@pytest.mark.parametrize("path", reference_files("discovery/*.npz"))
def test_discovery_reference(path, device):
    arrays, config = read_case(path)
    for index, case in enumerate(config["cases"]):
        constants = {"k_patches": 100, "tau": 0.2, "eps": 1e-5} | config | case  # a case may have its own
        protocols = {
            "lost": replace(PROTOCOLS["lost"], patches=constants["k_patches"]),
            "tokencut": replace(PROTOCOLS["tokencut"], threshold=constants["tau"], weak=constants["eps"]),
        }
        keys, grid = torch.from_numpy(arrays[f"{index}/features"]).float().to(device), tuple(case["grid"])
        for name in [name for name in protocols if f"{name}_box" in case]:
            found = protocols[name].find(keys, grid)
            box, published = list(box_around(found, constants["patch_size"], case["image"])), case[f"{name}_box"]
            if name == "tokencut" and box != published and f"{index}/expect/{name}_eigenvector" in arrays:
                # Which of tokens with equal entries is the largest is a matter of rounding, which differs between processors.
                parts = parts_of_largest(arrays[f"{index}/expect/{name}_eigenvector"])
                boxes = [list(box_around(part, constants["patch_size"], case["image"])) for part in parts]
                assert box in boxes, (index, name)
                assert published in boxes, (index, name)
                continue
            assert box == published, (index, name)
            if f"{index}/expect/{name}_mask" in arrays:
                assert (found != arrays[f"{index}/expect/{name}_mask"]).sum() <= 3
        if f"{index}/expect/tokencut_eigenvector" in arrays:
            # A cosine within rounding of the threshold joins two tokens more, or fewer, on other hardware.
            expected = arrays[f"{index}/expect/tokencut_eigenvector"].ravel()
            directions = torch.nn.functional.normalize(keys, dim=1)
            joined = (directions @ directions.T > constants["tau"]).cpu().numpy()
            mine = second_vector(np.where(joined, 1.0, constants["eps"]))
            mine *= np.linalg.norm(expected) / np.linalg.norm(mine) * np.sign(mine @ expected)
            np.testing.assert_allclose(mine, expected, rtol=0, atol=1e-3 * np.abs(expected).max())


def parts_of_largest(vector):
    """The tokens (h, w) that hang together with one of the largest entry on its side of the mean: once for each that is tied."""
    flat, parts = vector.ravel(), []
    for seed in np.flatnonzero(np.abs(flat) >= (1 - 1e-8) * np.abs(flat).max()):
        if not any(part.flat[seed] for part in parts):
            parts.append(part_of((flat > flat.mean()) == (flat[seed] > flat.mean()), seed, vector.shape))
    return parts


@pytest.mark.parametrize("seed", [0, 1, 3, 4, 5])  # whose seed token has no equal
def test_both_find_what_plain_computations_find(seed, device):
    keys = blobs(seed)
    votes = next(k for k in range(10, 64) if _cuts_no_tie(keys, k))
    assert (lost.find_object(keys.to(device), GRID, votes) == lost_plainly(keys, GRID, votes)).all()
    found = tokencut.find_object(keys.to(device), GRID, 0.2, 1e-5)
    assert (found == tokencut_plainly(keys, GRID, 0.2, 1e-5)).all()
    assert 0 < found.sum() < found.size


def _cuts_no_tie(keys, patches):
    degree = np.sort(((keys @ keys.T) > 0).sum(1).numpy())
    return patches == len(degree) or degree[patches - 1] < degree[patches]


@pytest.mark.parametrize("seed", range(4))
def test_the_fast_cut_is_the_plain_one(seed):
    directions = torch.nn.functional.normalize(blobs(seed, (12, 14)), dim=1)
    weights = np.where((directions @ directions.T > 0.2).numpy(), 1.0, 1e-5)
    fast, plain = second_vector(weights), second_vector_plain(weights)
    fast *= np.linalg.norm(plain) / np.linalg.norm(fast) * np.sign(fast @ plain)
    np.testing.assert_allclose(fast, plain, rtol=0, atol=1e-10 * np.abs(plain).max())


@pytest.mark.parametrize("seed", range(8))
def test_where_the_largest_entry_is_one_of_many_the_published_cut_decides(seed):
    """Tokens with the same neighbors have the same entry: rounding says in which of several blobs the object is sought."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:20, :15]
    centers = random.uniform((1, 1), (19, 14), (3, 2))
    inside = np.any([np.hypot(rows - y, columns - x) < random.uniform(1, 3) for y, x in centers], axis=0)
    directions = random.normal(size=(2, 24))
    keys = directions[inside.ravel().astype(int)] + random.normal(0, 0.05, (300, 24))
    keys = torch.from_numpy(keys.astype(np.float32))
    found = tokencut.find_object(keys, (20, 15), 0.2, 1e-5)

    normal = torch.nn.functional.normalize(keys, dim=1)
    weights = np.where((normal @ normal.T > 0.2).numpy(), 1.0, 1e-5)
    degrees = np.diag(weights.sum(axis=1))
    vector = eigh(degrees - weights, degrees, subset_by_index=[1, 2])[1][:, 0]
    largest = int(np.abs(vector).argmax())
    side = (vector > vector.mean()) == (vector[largest] > vector.mean())
    assert (found == part_of(side, largest, (20, 15))).all()


def test_two_parts_that_hardly_hang_together_are_cut_apart():
    weights = np.full((40, 40), 1e-5)
    weights[:13, :13] = weights[13:, 13:] = 1.0
    side = second_vector(weights) > 0
    assert len(set(side[:13])) == len(set(side[13:])) == 1
    assert side[0] != side[-1]


def test_a_graph_without_a_single_second_vector_is_cut_as_the_published_code_cuts_it():
    """All tokens alike: any vector would do, and one computation gives one."""
    weights = np.ones((30, 30))
    np.testing.assert_array_equal(second_vector(weights), second_vector_plain(weights))


def test_three_patches_are_cut_too():
    keys = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]])
    assert tokencut.find_object(keys, (3, 1), 0.2, 1e-5).ravel().tolist() == [False, False, True]


def test_pictures_of_one_or_two_patches():
    for grid in ((1, 1), (1, 2)):
        for protocol in PROTOCOLS.values():
            assert box_around(protocol.find(torch.ones(grid[0] * grid[1], 4), grid), 16, (10, 30))[:2] == (0, 0)


def test_a_box_ends_where_the_picture_does():
    tokens = np.zeros((3, 4), bool)
    tokens[1:, 2:] = True
    assert box_around(tokens, 16, (40, 60)) == (32, 16, 60, 40)
    tokens[2, :] = tokens[:, 3] = False
    assert box_around(tokens, 16, (40, 60)) == (32, 16, 48, 32)


@pytest.mark.parametrize("tokens", [{}, {"class_token": True}, {"class_token": True, "register_tokens": 3}])
def test_keys_are_those_of_the_last_block(tokens, device):
    config = EncoderConfig("custom", patch_size=8, image_size=32, embed_dim=24, depth=3, num_heads=3, **tokens)
    torch.manual_seed(0)
    encoder = Encoder(config).to(device).eval()
    images = torch.randn(2, 3, 24, 40, device=device)
    with torch.no_grad():
        entering = encoder.patch_tokens(images, blocks=[1], norm=False, prefix=True)[0]
        block = encoder.blocks[2]
        rows = block.norm1(entering) @ block.attn.qkv.weight.T + block.attn.qkv.bias
        keys = encoder.patch_keys(images)
    assert keys.shape == (2, 15, 24)
    torch.testing.assert_close(keys, rows[:, encoder.num_prefix_tokens :, 24:48], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["eva02_tiny_patch14_224", "eva02_base_patch14_224", "beit_base_patch16_224"])
def test_keys_of_networks_that_stay_timms(name):
    """What the softmax of their own attention sees, up to rotation: one head's keys have the lengths of what is attended to."""
    sizes = {"depth": 2, "img_size": 56} if name.startswith("eva") else {"depth": 2, "img_size": 32}
    torch.manual_seed(0)
    encoder = Encoder(describe_network(create_network(name, **sizes), name, sizes)).eval()
    attention, patch = encoder.network.blocks[-1].attn, encoder.patch_size
    seen = []
    used = torch.nn.functional.scaled_dot_product_attention

    def attend(query, key, value, *args, **kwargs):
        seen.append(key)
        return used(query, key, value, *args, **kwargs)

    images = torch.randn(1, 3, sizes["img_size"], sizes["img_size"])
    attention.fused_attn = True
    with pytest.MonkeyPatch.context() as patched, torch.no_grad():
        patched.setattr(torch.nn.functional, "scaled_dot_product_attention", attend)
        keys = encoder.patch_keys(images)
    count = (sizes["img_size"] // patch) ** 2
    assert keys.shape == (1, count, encoder.embed_dim)
    heads = keys.unflatten(2, (encoder.num_heads, -1)).transpose(1, 2)  # (1, heads, N, d)
    torch.testing.assert_close(heads.norm(dim=3), seen[-1][:, :, -count:].norm(dim=3), rtol=1e-4, atol=1e-5)


def test_pixels_have_color_and_place_for_keys():
    images = torch.randn(1, 3, 32, 48)
    pixels = load_encoder("pixels/16").encoder
    torch.testing.assert_close(pixels.patch_keys(images), pixels.patch_tokens(images)[0][..., :5])


def test_an_encoder_without_such_keys_says_so():
    encoder = load_encoder("random:vit_micro/16").encoder
    encoder.blocks[-1].attn.qkv = None
    with pytest.raises(UserError, match=r"keys of .* cannot be read"):
        encoder.patch_keys(torch.randn(1, 3, 32, 32))
