"""Recipes: every value that cannot work, every file that is no recipe, and every `--set` of garbage is one error."""

import dataclasses
import os
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eval.coco.run import CocoRecipe
from eval.uavdt.run import UavdtRecipe
from flsl.runtime import config
from flsl.runtime.errors import UserError
from flsl.runtime.schema import parse
from pretrain.methods.flsl import Recipe
from pretrain.recipe import read_recipe

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
PRETRAIN = CONFIGS / "pretrain" / "flsl_small_20e.py"
COCO, UAVDT = CONFIGS / "coco" / "mask-rcnn_smoke.py", CONFIGS / "uavdt" / "faster-rcnn_smoke.py"
HUGE = 10**30

VALUES = [  # --set of pretraining -> what the message says
    ("name=''", "name must be at least 1 characters long, but is ''"),
    ("name=5", "name must be text, but is 5"),
    ("encoder=5", "encoder must be a section, but is 5"),
    ("encoder.architecture=vit_smal", "Did you mean 'vit_small'?"),
    ("encoder.architecture=custom", "architecture 'custom' needs embed_dim, depth, num_heads"),
    ("encoder.patch_size=0", "encoder.patch_size must be at least 1, but is 0"),
    ("encoder.patch_size=-16", "encoder.patch_size must be at least 1, but is -16"),
    ("encoder.patch_size=1.5", "encoder.patch_size must be a whole number, but is 1.5"),
    ("encoder.patch_size=15", "image_size 224 is no multiple of patch_size 15"),
    ("encoder.image_size=1000000", "encoder.image_size must be at most 32767, but is 1000000"),
    ("encoder.embed_dim=7", "embed_dim of vit_mini is 192, not 7"),
    ("encoder.depth=100000", "encoder.depth must be at most 1000, but is 100000"),
    ("encoder.num_heads=-3", "encoder.num_heads must be at least 1, but is -3"),
    ("encoder.mlp_ratio=0", "encoder.mlp_ratio must be above 0, but is 0"),
    ("encoder.mlp_ratio=1e308", "encoder.mlp_ratio must be at most 1000, but is 1e+308"),
    ("encoder.mlp_ratio=1e-320", "mlp_ratio 9.99989e-321 leaves the MLP 0 wide"),
    ("encoder.class_token=1", "encoder.class_token must be true or false, but is 1"),
    ("encoder.register_tokens=-1", "encoder.register_tokens must be at least 0, but is -1"),
    ("encoder.register_tokens=9007199254740992", "encoder.register_tokens must be at most 1000"),
    ("encoder.position_embedding=rotary", "must be one of 'sincos', 'learned', 'fixed' or 'rope', but is 'rotary'"),
    ("encoder.position_prefix=3", "position_prefix 3 is more than the 0 class and register tokens"),
    ("encoder.norm_eps=0", "encoder.norm_eps must be above 0, but is 0"),
    ("encoder.norm_eps=1e308", "encoder.norm_eps must be below 1, but is 1e+308"),
    ("encoder.mlp=relu", "encoder.mlp must be one of 'gelu' or 'swiglu', but is 'relu'"),
    ("encoder.image_std=(0, 0, 0)", "encoder.image_std[0] must be above 0, but is 0"),
    ("encoder.image_mean=(0.5,)", "encoder.image_mean must have more values, but is [0.5]"),
    ("encoder.timm_arguments={'a': 1}", "timm_arguments are those of a timm_model, which is not named"),
    ("head.centroids=1", "head.centroids must be at least 2, but is 1"),
    ("head.centroids=nan", "head.centroids must be a whole number, but is 'nan'"),
    ("head.hidden_dim=0", "head.hidden_dim must be at least 1, but is 0"),
    ("head.bottleneck_dim=9007199254740992", "head.bottleneck_dim must be at most 65536"),
    ("head.layers=1000000", "head.layers must be at most 1000, but is 1000000"),
    ("views.global_size=0", "views.global_size must be at least 1, but is 0"),
    ("views.global_size=100", "views.global_size 100 is no multiple of encoder.patch_size 16"),
    ("views.local_size=1000000", "views.local_size must be at most 32767, but is 1000000"),
    ("views.local_size=224", "need one window, but sampling.window_global is 3 and window_local 2"),
    ("views.n_local=-1", "views.n_local must be at least 0, but is -1"),
    ("views.n_local=1000000", "views.n_local must be at most 100, but is 1000000"),
    ("views.teacher_scale=(1.0, 0.8)", "teacher_scale must be (smallest, largest), but is (1, 0.8)"),
    ("views.teacher_scale=(-1, 1)", "views.teacher_scale[0] must be above 0, but is -1"),
    ("views.global_scale=(0.5, 2)", "views.global_scale[1] must be at most 1, but is 2"),
    ("views.local_scale=0.5", "views.local_scale must be a list, but is 0.5"),
    ("views.local_scale=(0.1, 0.2, 0.3)", "views.local_scale must be at most 2 values long"),
    ("views.local_scale=[]", "views.local_scale must have more values, but is []"),
    ("sampling.mode=all", "sampling.mode must be one of 'stride' or 'random', but is 'all'"),
    ("sampling.window_global=0", "sampling.window_global must be at least 1, but is 0"),
    ("sampling.window_local=7", "has 6 tokens a side, fewer than its window of 7"),
    ("mean_shift.scale_sa=-1", "mean_shift.scale_sa must be at least 0, but is -1"),
    ("mean_shift.scale_sa=1", "scale_ca must not be smaller than scale_sa"),
    ("temperature.student=0", "temperature.student must be above 0, but is 0"),
    ("temperature.teacher=-0.1", "temperature.teacher must be above 0, but is -0.1"),
    ("temperature.teacher_start=1e999", "temperature.teacher_start must be a finite number"),
    ("temperature.warmup_epochs=9007199254740992", "temperature.warmup_epochs must be at most 1e+06"),
    ("loss.gamma=-5", "loss.gamma must be at least 0, but is -5"),
    ("loss.prior=(0.5, 0.5)", "loss.prior has 2 values, but head.centroids is 128"),
    ("loss.center_momentum=1", "loss.center_momentum must be below 1, but is 1"),
    ("optimizer.lr=-1", "optimizer.lr must be above 0, but is -1"),
    ("optimizer.lr=1e999", "optimizer.lr must be a finite number"),
    ("optimizer.lr=fast", "optimizer.lr must be a number, but is 'fast'"),
    ("optimizer.lr=None", "optimizer.lr must be a number, but is None"),
    ("optimizer.final_lr=-1e-6", "optimizer.final_lr must be at least 0, but is -1e-06"),
    ("optimizer.warmup_fraction=1.5", "optimizer.warmup_fraction must be at most 1, but is 1.5"),
    ("optimizer.ema_momentum=2", "optimizer.ema_momentum must be at most 1, but is 2"),
    ("optimizer.clip=-3", "optimizer.clip must be at least 0, but is -3"),
    ("optimizer.freeze_last_layer=-1", "optimizer.freeze_last_layer must be at least 0, but is -1"),
    ("training.epochs=0", "training.epochs must be at least 1, but is 0"),
    (f"training.epochs={HUGE}", "training.epochs must be"),
    ("training.epochs=True", "training.epochs must be a whole number, but is True"),
    ("training.batch_size=0", "training.batch_size must be at least 1, but is 0"),
    ("training.accumulate=3", "batch_size 16 is no multiple of accumulate 3"),
    ("training.drop_path=1.5", "training.drop_path must be below 1, but is 1.5"),
    ("training.precision=fp8", "training.precision must be one of"),
    ("training.seed=-1", "training.seed must be at least 0, but is -1"),
    (f"training.seed={HUGE}", "training.seed must be"),
    ("stage={}", "stage lacks the key 'checkpoint'"),
    ("stage.mixture=2", "stage.mixture must be at most 1, but is 2"),
    ("runtime.workers=-1", "runtime.workers must be at least 0, but is -1"),
    ("runtime.workers=1000000", "runtime.workers must be at most 1024, but is 1000000"),
    ("runtime.log_every=0", "runtime.log_every must be at least 1, but is 0"),
    ("runtime.keep=0", "runtime.keep must be at least 1, but is 0"),
    ("runtime.max_unreadable=2", "runtime.max_unreadable must be at most 1, but is 2"),
]

GARBAGE = [  # --set -> what the message says
    ("", "--set '' is not of the form key=value"),
    ("=1", "--set '=1' is not of the form key=value"),
    ("training.epochs", "--set 'training.epochs' is not of the form key=value"),
    ("training=", "training must be a section, but is ''"),
    ("training.=3", "training. is not a known key"),
    ("training..epochs=3", "'' in training is not a known key"),
    ("training.epochs.x=1", "training.epochs is a value, not a section"),
    ("training.epochs=" + "(" * 100_000, "training.epochs must be a whole number"),
    ("training.epochs=" + "-" * 100_000 + "1", "training.epochs must be a whole number"),
    ("training.epochs=" + "[" * 90 + "]" * 90, "nested more than 50 levels deep"),
    ("training.epochs=open('EXECUTED', 'w')", "training.epochs must be a whole number"),
    ("training={1: 2}", "training has the key 1; expected is text"),
    ("training.epochs={1, 2}", "training.epochs must be a plain value (a number, text, a list), but is {1, 2}"),
    ("training.epochs=b'x'", "training.epochs must be a plain value"),
    ("training.epochs=1j", "training.epochs must be a plain value"),
    ("name='\\ud800'", "name must be text that UTF-8 can express"),
    ("x" * 100_000 + "=1", "is not of the form key=value"),
    ("__class__=1", "--set __class__ is not a known key"),
    ("Training.epochs=3", "Did you mean 'training'?"),
    ("training.epoch=3", "Did you mean 'epochs'?"),
]

FILES = {  # what is in a recipe file -> what the message says
    "_base_ = 'recipe.py'": "is based on itself (recipe.py -> recipe.py)",
    "_base_ = ['other.py']": "is based on itself (recipe.py -> other.py -> recipe.py)",
    "_base_ = 'missing.py'": "missing.py, the _base_ of",
    "_base_ = '.'": "is a folder",
    "_base_ = 5": "_base_ must be the name of a recipe or a list of names, but is 5",
    "import sys\nsys.exit(0)": "recipe.py, line 2: it ends the program (0)",
    "raise SystemExit('bye')": "it ends the program ('bye')",
    "1 / 0": "recipe.py, line 1: ZeroDivisionError: division by zero",
    "raise MemoryError": "MemoryError",
    "def f(): return f()\nf()": "RecursionError",
    "import nowhere_to_be_found": "ModuleNotFoundError: No module named 'nowhere_to_be_found'",
    "custom_imports = dict(imports=['nowhere_to_be_found'])": "Failed to import custom modules",
    "training = dict(": "SyntaxError: '(' was never closed",
    "": "is empty; a recipe has sections such as",
    "a\0b": "null bytes",
    "training = 1": "training must be a section, but is 1",
    "training = dict(epochs=lambda: 3)": "training.epochs must be a plain value",
    "import numpy\ntraining = dict(epochs=numpy.int64(3))": "training.epochs must be a plain value",
    "training = dict(epochs=10**5000)": "training.epochs must be a plain value",
    "training = []\ntraining.append(training)": "RecursionError",
    "trainin = dict(epochs=3)": "Did you mean 'training'?",
    b"\x89PNG\r\n\x1a\n": "is no recipe: it is not UTF-8 text",
    b"name = '\xff'": "is no recipe: it is not UTF-8 text",
}

PLACES = {  # a path below the test's folder -> what the message says
    ".": "is a folder",
    "nowhere.py": "does not exist. Recipes in",
    "nowhere/recipe.py": "does not exist. Recipes are under configs/",
    "recipe.txt": "is no recipe: expected is a Python file (.py)",
    "pipe.py": "does not exist",
    "loop.py": "does not exist",
    "recipe.py/x.py": "does not exist",
    "x" * 5000 + ".py": "File name too long",
}

DETECTOR = [  # program, --set, what the message says (ranges of the other keys: tests/eval/detector/test_recipe.py)
    ("coco", "model.frozen_blocks=-1", "model.frozen_blocks must be at least 0, but is -1"),
    ("coco", "model.frozen_blocks=99", "model.frozen_blocks must be at most 4"),
    ("coco", "model.window=0", "model.window must be at least 2, but is 0"),
    ("coco", "model.drop_path=1.5", "model.drop_path must be below 1, but is 1.5"),
    ("coco", "model.blocks=(7, 5, 3, 1)", "blocks must rise"),
    ("coco", "model.blocks=[]", "model.blocks must have more values"),
    ("coco", "model={}", "model lacks the key 'detector'"),
    ("coco", "images.flip=2", "images.flip must be at most 1, but is 2"),
    ("coco", "images.train_short_sides=[]", "train_short_sides must name at least one size"),
    ("coco", "training.batch=0", "training.batch must be at least 1, but is 0"),
    ("coco", "training.learning_rate=-1", "training.learning_rate must be above 0, but is -1"),
    ("coco", "training.learning_rate=1e999", "training.learning_rate must be a finite number"),
    ("coco", "training.ema=2", "training.ema must be below 1, but is 2"),
    ("coco", "training.precision=", "training.precision must be one of"),
    ("coco", "testing.nms_overlap=nan", "testing.nms_overlap must be a number, but is 'nan'"),
    ("coco", "runtime.workers=-1", "runtime.workers must be at least 0, but is -1"),
    ("coco", "data=5", "data must be a section, but is 5"),
    ("coco", "protocol=", "protocol must be of the form"),
    ("coco", "protocol=uavdt/x@1", "protocol 'uavdt/x-modified@1' is not a known protocol of coco"),
    ("coco", "trainin.batch=8", "Did you mean 'training'?"),
    ("uavdt", "images.scale_jitter=(3.0, 1.5)", "scale_jitter must be (smallest, largest)"),
    ("uavdt", "frames.train_stride=0", "frames.train_stride must be at least 1, but is 0"),
    ("uavdt", "frames.train_sequences=-1", "frames.train_sequences must be at least 1, but is -1"),
    ("uavdt", "runtime.workers=1000000", "runtime.workers must be at most 1024"),
]

SEEDS = [  # program and command, seed
    *(("eval", [benchmark], seed) for benchmark in ("davis", "coco", "uavdt", "knn") for seed in (-1, 2**31)),
    ("eval", ["coco", "--plan"], -1),
    ("eval", ["coco", "bench"], -1),
]


def short(value):
    return repr(value)[:50]


@pytest.fixture
def data(tmp_path):
    """Folders of data with one file in them: what is refused is refused before it is read."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "0.jpg").write_bytes(b"no picture")
    return tmp_path / "data"


@pytest.fixture
def pretrain(refused, data, tmp_path, monkeypatch):
    """`pretrain(recipe, words, *arguments)`: refused by `python -m pretrain`."""
    monkeypatch.chdir(tmp_path)

    def check(recipe, words, *arguments):
        return refused("pretrain", [recipe, "--data", data, "--out", tmp_path / "out", *arguments], [words])

    return check


@pytest.mark.parametrize(("change", "words"), [*VALUES, *GARBAGE], ids=short)
def test_a_value_that_cannot_work_is_refused(change, words, pretrain):
    assert len(pretrain(PRETRAIN, words, "--set", change)) < 1500


@pytest.mark.parametrize("content", FILES, ids=short)
def test_a_file_that_is_no_recipe_is_refused(content, pretrain, tmp_path):
    path = tmp_path / "recipe.py"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    (tmp_path / "other.py").write_text("_base_ = 'recipe.py'\n")
    pretrain(path, FILES[content])


@pytest.mark.parametrize("place", PLACES, ids=short)
def test_a_place_that_is_no_recipe_is_refused(place, pretrain, tmp_path):
    (tmp_path / "recipe.py").write_text("name = 'x'")
    (tmp_path / "recipe.txt").write_text("name = 'x'")
    (tmp_path / "loop.py").symlink_to("loop.py")
    os.mkfifo(tmp_path / "pipe.py")
    pretrain(tmp_path / place, PLACES[place])


@pytest.mark.parametrize("content", ["while True: pass", "while True: print('y' * 1000)"])
def test_a_recipe_without_end_is_ended(content, pretrain, tmp_path, monkeypatch):
    monkeypatch.setattr(config, "LIMIT", 0.2)
    (tmp_path / "endless.py").write_text(content)
    pretrain(tmp_path / "endless.py", "endless.py is still running after 0.2 s of computing")


def test_a_diamond_of_bases_is_no_loop_and_a_thousand_of_them_do_not_hang(tmp_path, monkeypatch, pretrain):
    (tmp_path / "a.py").write_text("name = 'a'")
    (tmp_path / "b.py").write_text("_base_ = 'a.py'\ntraining = dict(epochs=3)")
    assert read_recipe(tmp_path / "b.py").training.epochs == 3
    monkeypatch.setattr(config, "LIMIT", 0.5)
    for number in range(40):
        (tmp_path / f"{number}.py").write_text(f"_base_ = ['{number + 1}.py', '{number + 1}.py']")
    (tmp_path / "40.py").write_text("name = 'x'")
    pretrain(tmp_path / "0.py", "0.py is still running after 0.5 s")


@pytest.mark.parametrize(("command", "change", "words"), DETECTOR, ids=short)
def test_a_value_that_no_detector_can_have_is_refused(command, change, words, refused, drawn, tmp_path):
    recipe = COCO if command == "coco" else UAVDT
    place = ["--data", drawn, "--out", tmp_path / "out", "--device", "cpu", "--checkpoint", "random:vit_micro/16"]
    err = refused("eval", [command, "--config", recipe, *place, "--set", change], [words])
    assert len(err) < 1500


@pytest.mark.parametrize("command", ["coco", "uavdt"])
@pytest.mark.parametrize("mode", [["bench"], ["--plan", "--checkpoint", "random:vit_micro/16"]], ids=["bench", "plan"])
def test_measuring_refuses_what_a_run_refuses(mode, command, refused, data):
    place = [] if mode == ["bench"] else ["--data", data]
    refused("eval", [command, *mode, *place, "--set", "model=1"], ["model must be a section, but is 1"])


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Three pictures in COCO's layout; what is refused of UAVDT is refused before its data are looked at."""
    from eval.data.synthesize import synthesize

    root = tmp_path_factory.mktemp("drawn") / "coco"
    synthesize("coco", root, 0, count=3, val_count=3, height=64, width=64)
    return root


@pytest.mark.parametrize(("program", "command", "seed"), SEEDS, ids=short)
def test_a_seed_that_no_library_takes_is_refused(program, command, seed, refused, data, tmp_path):
    given = [*command, "--data", data, "--out", tmp_path / "out", "--checkpoint", "random:vit_micro/16", "--seed", seed]
    refused(program, given, [f"--seed is {seed}; it must be at {'least 0' if seed < 0 else 'most 2147483647'}"])


def test_a_seed_of_drawn_data_is_checked(refused, tmp_path):
    refused("eval", ["data", "synthesize", "images", tmp_path / "x", "--seed", -1], ["--seed is -1"])


@pytest.mark.parametrize("option", ["--batch", "--rounds", "--images"])
@pytest.mark.parametrize("number", [0, -1])
def test_a_bench_of_nothing_is_refused(number, option, refused):
    refused("pretrain", ["bench", PRETRAIN, option, number], [f"{option} is {number}; it must be at least 1"])


@pytest.mark.parametrize("name", ["", " ", "a\tb", "\x1b[31m", "\udc80"], ids=ascii)
def test_a_name_that_no_record_takes_is_refused_before_the_run(name, refused, data, tmp_path):
    given = ["knn", "--data", data, "--out", tmp_path / "out", "--checkpoint", "random:vit_micro/16", "--name", name]
    refused("eval", given, ["is no name for a model"])


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from([10**400, "vit_micro", "custom", "sincos", b"x", 1j, {1, 2}, float, 0.5, 16, (0.5, 1.0)]),
)
VALUE = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4) | st.integers(), inner, max_size=3),
)
SCHEMAS = {"pretrain": Recipe, "coco": CocoRecipe, "uavdt": UavdtRecipe}
NEEDED = {"protocol": "coco/x@1", "model": {"detector": "mask-rcnn"}}


def recipe_or_error(read, cls):
    """Hold that reading gives a recipe, or one message of a bearable length; any other exception comes out."""
    try:
        found, told = read(), "x"
    except UserError as error:
        found, told = None, str(error)
    assert 0 < len(told) < 20_000
    assert found is None or isinstance(found, cls)


def keys_of(cls):
    """The keys of a recipe: section -> its keys, none where it is a value."""
    found = {}
    for name, hint in get_type_hints(cls).items():
        inner = next((kind for kind in (hint, *get_args(hint)) if dataclasses.is_dataclass(kind)), None)
        found[name] = [field.name for field in dataclasses.fields(inner)] if inner else []
    return found


def recipes(cls):
    """Values for some keys of some sections, or for a section itself."""
    sections = {
        name: st.dictionaries(st.sampled_from([*keys, "nonsense"]), VALUE, max_size=3) if keys else VALUE
        for name, keys in keys_of(cls).items()
    }
    return st.fixed_dictionaries({}, optional=sections) | st.dictionaries(st.sampled_from(list(sections)), VALUE)


@pytest.mark.parametrize("name", SCHEMAS)
def test_any_values_are_a_recipe_or_one_error(name):
    cls = SCHEMAS[name]

    @settings(max_examples=60, derandomize=True, deadline=2000, suppress_health_check=list(HealthCheck))
    @given(recipes(cls))
    def check(values):
        if name != "pretrain":
            values = NEEDED | values
            if isinstance(values["model"], dict):
                values["model"] = NEEDED["model"] | values["model"]
        recipe_or_error(lambda: parse(cls, values), cls)

    check()


@settings(max_examples=60, derandomize=True, deadline=2000)
@given(st.text(max_size=30), st.text(max_size=30))
def test_any_override_is_a_recipe_or_one_error(key, value):
    for override in (f"{key}={value}", f"training.epochs={value}", f"training.{key}={value}", key):
        recipe_or_error(lambda: read_recipe(Recipe(), [override]), Recipe)  # noqa: B023


@pytest.mark.parametrize("depth", [60, 300, 5000])
def test_values_nested_without_end_are_refused(depth):
    values = deep = []
    for _ in range(depth):
        deep.append([])
        deep = deep[0]
    looped = {"training": {}}
    looped["training"]["epochs"] = looped
    for nested in ({"training": {"epochs": values}}, looped):
        with pytest.raises(UserError, match=r"training\.epochs.* more than 50 levels deep"):
            parse(Recipe, nested)
