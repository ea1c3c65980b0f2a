"""What happens during training besides training: the progress line, the proof of what is trained, stopping at a signal."""

from typing import Any, TextIO

from mmengine.hooks import Hook
from mmengine.runner import Runner

from eval.finetune.states import StateHook, unwrapped
from eval.progress import Progress
from flsl.checkpoint import fingerprint
from flsl.runtime.distributed import any_rank, is_main
from flsl.runtime.preemption import Preempted, StopSignal


class ProgressHook(Hook):
    """Shows iterations, loss, learning rate, seconds an iteration and time left."""

    def __init__(self, console: TextIO):
        """Print to `console`."""
        self.console = console

    def before_train(self, runner: Runner) -> None:
        """Start the clock, at the iteration that training resumes from."""
        self.progress = Progress("train", runner.max_iters, runner.iter, console=self.console)
        if runner.iter:
            print(f"resuming at iteration {runner.iter} of {runner.max_iters}", file=self.console, flush=True)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Show one line, now and then."""
        rate = max(group["lr"] for group in runner.optim_wrapper.optimizer.param_groups if group["params"])
        self.progress.update(runner.iter + 1, f"loss {runner.train_loop.losses['loss']:.3f}  lr {rate:.1e}  ")


class FingerprintHook(Hook):
    """Holds that a new training starts from exactly the checkpoint's encoder, whatever initialized the model."""

    def __init__(self, expected: str, kind: str):
        """Expect the encoder with this fingerprint in a model of this kind."""
        self.expected, self.kind = expected, kind

    def before_train(self, runner: Runner) -> None:
        """Compare, unless the training was resumed; log both fingerprints."""
        found = fingerprint(unwrapped(runner).get_submodule("backbone.encoder"))
        runner.logger.info(f"encoder fingerprint: checkpoint {self.expected}, {self.kind} {found}")
        if runner.iter == 0 and found != self.expected:
            raise RuntimeError(f"the {self.kind}'s encoder ({found}) is not the checkpoint's ({self.expected})")


class PreemptionHook(Hook):
    """Saves a resumable state and stops, where a signal asks for it."""

    def __init__(self, signal: StopSignal):
        """Watch `signal`; all processes stop together if it came to any of them."""
        self.signal, self.stopping = signal, False

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Let the hook that saves states, which runs after this one, save now."""
        if any_rank(self.signal.requested) and runner.iter + 1 < runner.max_iters:
            self.stopping = True
            for hook in runner.hooks:
                if isinstance(hook, StateHook):
                    hook.interval = 1

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Raise Preempted: the state is saved."""
        if self.stopping:
            words = f"stopped by a signal after iteration {runner.iter} of {runner.max_iters}; "
            raise Preempted(words + "run the same command again to continue" if is_main() else "")
