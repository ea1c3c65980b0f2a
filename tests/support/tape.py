"""A CUDA graph on the CPU: operations are recorded with the very tensors that they read and wrote, and run again on them.

Like a graph, a replay knows nothing of the host: numbers that were Python's while recording keep their value, and an
operation whose result the host waited for cannot be recorded.
"""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", "unique", "_unique2", "bincount")


class Tape(TorchDispatchMode):
    """While entered, records."""

    def __init__(self):
        super().__init__()
        self.operations = []

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        name = function.overloadpacket.__name__
        assert name not in WAITS, f"{name} waits for the device"
        if name in ("index", "index_put", "index_put_"):
            assert all(t.dtype != torch.bool for t in tree_leaves(arguments[1]) if t is not None), f"{name} counts rows"
        returned = function(*arguments, **(keywords or {}))
        self.operations.append((function, arguments, keywords or {}, returned))
        return returned

    def replay(self):
        """Run it all again."""
        with torch.no_grad():
            for function, arguments, keywords, before in self.operations:
                after = function(*arguments, **keywords)
                for old, new in zip(tree_leaves(before), tree_leaves(after)):
                    if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
                        old.copy_(new)


def record_on_tape(run):
    """What `pretrain.capture.record_on_gpu` does with a GPU."""
    run()  # averages begin, as in the runs that warm up
    tape = Tape()
    with tape:
        returned = run()
    return tape.replay, returned
