"""FLSL: the encoder, head, losses and student-teacher model of feature-level self-supervised learning.

Everything public is imported on first use, so that `import flsl` (and every `--help`) stays fast.
"""

from importlib import import_module

_PUBLIC = {
    "Encoder": "flsl.encoder",
    "EncoderConfig": "flsl.architecture",
    "Head": "flsl.head",
    "FLSL": "flsl.model",
    "load_encoder": "flsl.checkpoint",
    "save_encoder": "flsl.checkpoint",
    "fingerprint": "flsl.checkpoint",
    "UserError": "flsl.runtime.errors",
}
__all__ = list(_PUBLIC)


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'flsl' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)
