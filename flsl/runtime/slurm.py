"""Submit a run to Slurm through submitit, with requeue; or take part in one that srun started.

    python -m pretrain CONFIG --data DIR --out DIR --launcher slurm [--nodes 4 --gpus 8 --hours 24 --partition NAME]
    python -m eval coco --checkpoint CHECKPOINT --data DIR --out DIR --launcher slurm [...]

The job gets SIGUSR1 two minutes before its time ends or when it is preempted: it saves its state, asks Slurm to requeue
it, and continues where it stopped. Needs `pip install '.[slurm]'`.
"""

import argparse
import os
import subprocess
from collections.abc import Callable
from typing import Any

from flsl.runtime.errors import UserError, run_command
from flsl.runtime.preemption import PREEMPTED
from flsl.runtime.rank_variables import number, require_meeting


def add_launcher(parser: argparse.ArgumentParser) -> None:
    """Add --launcher, --nodes, --gpus, --hours and --partition."""
    slurm = parser.add_argument_group("launcher", "torchrun starts the ranks itself; slurm submits a job and returns")
    slurm.add_argument("--launcher", choices=("none", "slurm"), default="none", help="(default: %(default)s)")
    slurm.add_argument("--nodes", type=int, default=1, help="of the Slurm job (default: %(default)s)")
    slurm.add_argument("--gpus", type=int, default=8, help="per node (default: %(default)s)")
    slurm.add_argument("--hours", type=int, default=24, help="time limit, after which it is requeued (default: 24)")
    slurm.add_argument("--partition", help="Slurm partition")


class Job:
    """What each Slurm task runs: one rank of the run."""

    def __init__(self, run: Callable[[argparse.Namespace], int], arguments: argparse.Namespace):
        """`run` is a module's function; it takes the command's arguments and returns the exit code."""
        self.run, self.arguments = run, arguments

    def __call__(self) -> int:
        """Join the other ranks, run, and requeue the job where it was preempted; returns the exit code."""
        import submitit

        here = submitit.JobEnvironment()
        os.environ.update(
            RANK=str(here.global_rank),
            LOCAL_RANK=str(here.local_rank),
            WORLD_SIZE=str(here.num_tasks),
            MASTER_ADDR=here.hostnames[0],
            MASTER_PORT=str(20000 + int("".join(c for c in str(here.job_id) if c.isdigit())[-4:])),
        )
        code = run_command(lambda: self.run(self.arguments))
        if code == PREEMPTED and here.global_rank == 0 and "SLURM_JOB_ID" in os.environ:
            subprocess.run(["scontrol", "requeue", os.environ["SLURM_JOB_ID"]], check=True)
        return code


def submit(run: Callable[[argparse.Namespace], int], arguments: argparse.Namespace, cluster: str = "slurm") -> Any:
    """Submit a run and print the job's number; returns submitit's job.

    Args:
        run: see `Job`.
        arguments: the command's, with those of `add_launcher` and `out`, the run's folder.
        cluster: "local" runs the job on this machine, for tests.

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
        raise UserError(
            f"--launcher slurm: no Slurm is here ({error}). Run it on a machine that has sbatch."
        ) from error
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
    job = executor.submit(Job(run, arguments))
    print(f"submitted job {job.job_id}; its log is in {arguments.out / 'slurm'}")
    return job


def adopt_ranks() -> None:
    """Give a task that srun started the environment that torchrun would have given it.

    Raises:
        UserError: srun started several tasks, but nothing says where they meet, or which of them this is.
    """
    environment, tasks = os.environ, number("SLURM_STEP_NUM_TASKS", 1, least=1)
    if "WORLD_SIZE" in environment or tasks == 1:
        return
    require_meeting(f"srun started {tasks} tasks")
    environment.update(
        RANK=str(number("SLURM_PROCID", None, most=tasks - 1)),
        WORLD_SIZE=str(tasks),
        LOCAL_RANK=str(number("SLURM_LOCALID", None)),
    )
