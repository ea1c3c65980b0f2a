"""mmengine's Runner with its log in a file, and what it and torch raise turned into messages."""

import contextlib
import errno
import logging
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO

import torch
from mmengine.logging import MMLogger
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from eval.finetune.states import resume
from eval.finetune.task import Task
from flsl.runtime.distributed import is_main
from flsl.runtime.errors import UserError, explained_memory

LOG = "train.log"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)  # the disk, or what may be used of it


class QuietRunner(Runner):
    """A Runner that logs to its file only, runs on the device that it is told, and resumes from states of ours."""

    def __init__(self, *args: Any, device: torch.device, console: TextIO, started: float, **kwargs: Any):
        """Take mmengine's arguments, the device, where to say what concerns the user, and when the training began."""
        self.device, self.console, self.started = device, console, started
        super().__init__(*args, **kwargs)

    @property
    def seconds(self) -> float:
        """Seconds that the training has taken, in all processes that it went through."""
        return time.perf_counter() - self.started

    def build_logger(self, log_level: int | str = "INFO", log_file: str | None = None, **kwargs: Any) -> MMLogger:
        """Build mmengine's logger without its console handler, into the file that `quiet` writes to."""
        logger = super().build_logger(log_level, str(Path(self.work_dir) / LOG), **kwargs)
        _drop_console(logger)
        return logger

    def load_or_resume(self) -> None:
        """Resume from the newest whole state: mmengine would run what is pickled in the file that a text file names."""
        complaints = resume(self)
        for complaint in complaints if is_main() else []:
            print(f"{complaint} An earlier state is used.", file=self.console, flush=True)

    def wrap_model(self, model_wrapper_cfg: dict | None, model: torch.nn.Module) -> torch.nn.Module:
        """Move the model to the chosen device: mmengine takes CUDA wherever there is one."""
        # Convolutions are faster in this layout: twice on a CPU, and a GPU's half-precision units know no other.
        model = model.to(self.device).to(memory_format=torch.channels_last)
        if not self.distributed:
            return model
        return MMDistributedDataParallel(
            model,
            device_ids=[torch.cuda.current_device()] if self.device.type == "cuda" else None,
            broadcast_buffers=False,
            # A network of timm's own may have parameters that no tap reaches; ours are frozen there.
            find_unused_parameters=hasattr(model.get_submodule("backbone.encoder"), "network"),
        )


def open_library(task: Task) -> tuple[Callable[[dict], Any], Callable[[dict], Any]]:
    """Register what is ours with the task's library, and return what builds its data sets and its models."""
    import_module(task.components)
    init_default_scope(task.package)
    registry = import_module(f"{task.package}.registry")
    return registry.DATASETS.build, registry.MODELS.build


def _drop_console(logger: logging.Logger) -> None:
    for handler in list(logger.handlers):
        if type(handler) is logging.StreamHandler:
            logger.removeHandler(handler)


@contextlib.contextmanager
def quiet(log: Path) -> Iterator[TextIO]:
    """Send what libraries print to the file `log`; yields the console, for progress lines.

    Raises:
        UserError: in place of running out of memory, naming what helps; of a log, or what mmengine writes, that does not
            fit on the disk; and of an error inside a loader process.
    """
    console = sys.stdout
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with (
            open(log, "a", encoding="utf-8") as file,
            contextlib.redirect_stdout(file),
            contextlib.redirect_stderr(file),
            warnings.catch_warnings(),
            explained_memory(out_of_memory),
        ):
            yield console
    except UserError as error:
        raise UserError(_from_loader(str(error))) from None
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise UserError(
            f"cannot write to {log.parent}: {error.strerror}. Make room, and run the same command again: it continues "
            "from what is on disk."
        ) from error


def _from_loader(message: str) -> str:
    """Take the message out of the traceback that torch wraps an error of a loader process in."""
    return re.split(r"^[\w.]+Error: ", message, flags=re.MULTILINE)[-1].strip()


def out_of_memory(said: str) -> str:
    """Return the message for running out of memory: the settings that help, the one that costs least first."""
    return (
        f"out of memory ({said}). What helps, in this order: "
        "(1) --set runtime.checkpoint_activations=True, which keeps results and costs about a third more time; "
        "(2) --set training.precision=bf16; "
        "(3) --set training.batch=N with a smaller N (the learning rate follows). "
        "What was computed so far is kept: the same command goes on from the last saved state."
    )


@contextlib.contextmanager
def attention_of_any_size(device: torch.device) -> Iterator[None]:
    """While entered, attention on a GPU leaves cuDNN alone, which plans for each size of image anew."""
    if device.type != "cuda":
        yield
        return
    before = torch.backends.cuda.cudnn_sdp_enabled()
    torch.backends.cuda.enable_cudnn_sdp(False)
    try:
        yield
    finally:
        torch.backends.cuda.enable_cudnn_sdp(before)
