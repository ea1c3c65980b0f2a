"""The files of this repository."""

import subprocess
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LEFT_BY_TOOLS = {".venv", "build", "runs", "__pycache__"}


def tracked_files(*patterns: str) -> list[Path]:
    """Return the tracked files, relative to the root, whose names match a pattern; without git, what lies there."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        found = (path.relative_to(ROOT) for path in sorted(ROOT.rglob("*")) if path.is_file())
        paths = [path for path in found if not LEFT_BY_TOOLS & set(path.parts) and not path.name.endswith(".pyc")]
    else:
        paths = [Path(line) for line in listed.stdout.splitlines() if (ROOT / line).is_file()]
    return [path for path in paths if any(fnmatch(path.name, pattern) for pattern in patterns)]
