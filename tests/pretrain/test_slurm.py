"""The Slurm launcher's job runs under submitit's local executor as one rank would under Slurm."""

from flsl.runtime.slurm import submit
from pretrain.__main__ import build_parser, main, run


def test_job_trains(recipe_file, images, tmp_path):
    out = tmp_path / "run"
    arguments = build_parser().parse_args(
        [str(recipe_file), "--data", str(images), "--out", str(out), "--device", "cpu", "--gpus", "1", "--hours", "1"]
    )
    job = submit(run, arguments, cluster="local")
    assert job.result() == 0
    assert (out / "encoder.safetensors").exists()


def test_machine_without_slurm_is_explained(recipe_file, images, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    arguments = [str(recipe_file), "--data", str(images), "--out", str(tmp_path), "--launcher", "slurm"]
    assert main(arguments) == 2
    assert "sbatch" in capsys.readouterr().err
