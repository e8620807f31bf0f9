"""The build hook that compiles with Cython what each relayed packet passes through (pyproject.toml).

Each module is its `.py` as it is, with the types of a `.pxd` of the same name beside it. Where there is a `.pyx` of
that name, too, it takes the place of the `.py`.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from Cython.Build import cythonize
from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from setuptools import Distribution, Extension
from setuptools.command.build_ext import build_ext

_DIRECTIVES = {"language_level": 3, "annotation_typing": False}
_FLAGS = ["-O3", "-g0", "-fwrapv"]  # where CFLAGS is set it takes the place of the interpreter's own


class WorkerHook(BuildHookInterface[Any]):
    """Compiles each module that has a `.pxd`, and puts it beside its source in the wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, unless nothing is to be built but links to the sources."""
        if self.target_name != "wheel" or version == "editable":
            return
        root = Path(self.root)
        work = root / "build" / "worker"
        shutil.rmtree(work, ignore_errors=True)
        modules = cythonize(  # type: ignore[no-untyped-call]
            _extensions(root), build_dir=str(work), compiler_directives=_DIRECTIVES, quiet=True
        )
        command = build_ext(Distribution({"ext_modules": modules}))
        command.build_lib, command.build_temp = str(work / "lib"), str(work / "objects")
        command.ensure_finalized()
        command.run()
        for built in (work / "lib").rglob("*.so"):
            build_data["force_include"][str(built)] = str(built.relative_to(work / "lib"))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True


def _extensions(root: Path) -> list[Extension]:
    types = sorted(path.relative_to(root) for path in root.glob("media/**/*.pxd"))
    sources = [path.with_suffix(".pyx" if (root / path.with_suffix(".pyx")).exists() else ".py") for path in types]
    return [Extension(_module(path), [str(path)], extra_compile_args=_FLAGS) for path in sources]


def _module(path: Path) -> str:
    return ".".join(path.with_suffix("").parts)
