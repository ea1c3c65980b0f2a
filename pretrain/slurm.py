"""Submit a pretraining run to Slurm through submitit, with requeue.

    python -m pretrain CONFIG --data DIR --out DIR --launcher slurm [--nodes 4 --gpus 8 --hours 24 --partition NAME]

The job gets SIGUSR1 two minutes before its time ends or when it is preempted: it saves its state, asks Slurm to requeue
it, and continues where it stopped. Needs `pip install '.[slurm]'`.
"""

import argparse
import os
import subprocess
from typing import Any

from flsl.errors import UserError


class Job:
    """What each Slurm task runs: one rank of the run."""

    def __init__(self, arguments: argparse.Namespace):
        self.arguments = arguments

    def __call__(self) -> int:
        """Join the other ranks, train, and requeue the job where it was preempted; returns the exit code."""
        import submitit

        from pretrain.__main__ import train
        from pretrain.loop import PREEMPTED

        here = submitit.JobEnvironment()
        os.environ.update(
            RANK=str(here.global_rank),
            LOCAL_RANK=str(here.local_rank),
            WORLD_SIZE=str(here.num_tasks),
            MASTER_ADDR=here.hostnames[0],
            MASTER_PORT=str(20000 + int("".join(c for c in str(here.job_id) if c.isdigit())[-4:])),
        )
        code = train(self.arguments)
        if code == PREEMPTED and here.global_rank == 0 and "SLURM_JOB_ID" in os.environ:
            subprocess.run(["scontrol", "requeue", os.environ["SLURM_JOB_ID"]], check=True)
        return code


def submit(arguments: argparse.Namespace, cluster: str = "slurm") -> Any:
    """Submit the run and print the job's number; returns submitit's job.

    Raises:
        UserError: submitit is not installed, or Slurm is not there.
    """
    try:
        import submitit
    except ModuleNotFoundError as error:
        raise UserError("--launcher slurm needs submitit. Install it with: pip install '.[slurm]'") from error
    try:
        executor = submitit.AutoExecutor(folder=arguments.out / "slurm", cluster=cluster)
    except RuntimeError as error:
        raise UserError(f"--launcher slurm: {error}. Run it on a machine that has sbatch.") from error
    executor.update_parameters(
        name="flsl",
        nodes=arguments.nodes,
        tasks_per_node=arguments.gpus,
        gpus_per_node=arguments.gpus if cluster == "slurm" else 0,
        timeout_min=arguments.hours * 60,
    )
    if cluster == "slurm":
        executor.update_parameters(
            cpus_per_task=10,
            slurm_partition=arguments.partition,
            slurm_additional_parameters={"signal": "USR1@120", "requeue": True},
        )
    job = executor.submit(Job(arguments))
    print(f"submitted job {job.job_id}; its log is in {arguments.out / 'slurm'}")
    return job
