"""Success means a result: where the last state or the encoder cannot be written, no run says that it went well."""

import os
import signal
import threading
import time

import pytest
from support.pretrain_run import log, run

from flsl.checkpoint import load_encoder

ENCODER, STATE = 150_000, 600_000  # bytes: the tiny encoder has 131,000, a state 930,000


@pytest.fixture
def quick(recipe_file):
    recipe_file.write_text(recipe_file.read_text().replace("workers=1", "workers=0"))
    return recipe_file


def test_no_state_at_the_end(quick, images, tmp_path, capsys, room):
    out = tmp_path / "run"
    room(STATE)
    assert run(quick, images, out) == 2
    room()
    said = capsys.readouterr().err
    assert "ERROR: after step 2: cannot write" in said  # loud, and training went on
    assert "error: all 6 steps are done, but not all is written: cannot write" in said
    assert "step_00000006.pt" in said
    assert load_encoder(out / "encoder.safetensors").pretraining["steps"] == 6
    assert log(out)[-1]["step"] == 5
    assert run(quick, images, out) == 0  # all that is left to do is to say that it is finished
    assert run(quick, images, out) == 0


def test_neither_state_nor_encoder(quick, images, tmp_path, capsys, room):
    out = tmp_path / "run"
    room(ENCODER // 2)
    assert run(quick, images, out) == 2
    room()
    said = capsys.readouterr().err
    assert "encoder.safetensors: File too large" in said
    assert not list(out.glob("encoder*"))
    assert not list(out.rglob(".*.tmp-*"))
    assert run(quick, images, out) == 0
    assert load_encoder(out / "encoder.safetensors").pretraining["steps"] == 6


def test_disk_that_is_full_in_the_middle_only(quick, images, tmp_path, capsys, room):
    quick.write_text(quick.read_text().replace("epochs=2", "epochs=20"))
    out = tmp_path / "run"
    room(STATE)
    thread = threading.Thread(target=lambda: (until(out / "encoder.safetensors"), room()))
    thread.start()
    assert run(quick, images, out) == 0
    thread.join()
    assert "ERROR: after step 2: cannot write" in capsys.readouterr().err
    assert load_encoder(out / "encoder.safetensors").pretraining["steps"] == 60


@pytest.mark.parametrize(("limit", "code"), [(STATE, 2), (None, 75)], ids=["full disk", "room"])
def test_75_means_that_there_is_a_state(limit, code, quick, images, tmp_path, capsys, room):
    quick.write_text(quick.read_text().replace("epochs=2", "epochs=2000").replace("every=2", "every=1000"))
    out = tmp_path / "run"
    if limit:
        room(limit)
    thread = threading.Thread(target=lambda: (until(out / "log.jsonl"), os.kill(os.getpid(), signal.SIGUSR1)))
    thread.start()
    assert run(quick, images, out) == code
    thread.join()
    assert len(list(out.glob("states/*.pt"))) == (code == 75)
    said = capsys.readouterr().err
    assert ("there is no state to go on from" in said) == (code == 2)
    assert ("run the same command again to continue after step" in said) == (code == 75)


def until(path):
    while not path.exists():
        time.sleep(0.005)
