"""Packs the recipes into the wheel, as flsl/configs; pyproject.toml says everything else."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithRecipes(build_py):
    """Copies configs/ beside the code; an editable installation finds it where it lies."""

    def run(self):
        """Build, then copy."""
        super().run()
        if not self.editable_mode:
            leave = shutil.ignore_patterns("__pycache__")
            shutil.copytree("configs", Path(self.build_lib, "flsl", "configs"), ignore=leave, dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithRecipes})
