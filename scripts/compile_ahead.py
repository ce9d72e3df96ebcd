"""Compiles what the programs start with, so that not several of them do it at once in the first start.

Python keeps what it compiles of modules that are imported, numba what it compiles of the kernels of features and trees.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module

from embedded.checks import PACKAGES
from ml_model.warm_up import compile_kernels
from processor.daemon import NEEDED


def main() -> None:
    """Imports every module of the product, and what Spark's workers begin with, and folds one made-up transaction."""
    for package in PACKAGES:
        for module in pkgutil.walk_packages(import_module(package).__path__, f"{package}."):
            if not module.name.endswith("__main__"):
                import_module(module.name)
    for name in NEEDED:
        import_module(name)
    compile_kernels()


if __name__ == "__main__":
    main()
