"""Checks everything that deploys, without a cloud: `make infra-check`; with names of checks, those alone."""

from __future__ import annotations

import sys
import time

from infrastructure.checks import chart, delivery, images, terraform, yaml_files

CHECKS = {
    "yaml": yaml_files.run,
    "images": images.run,
    "delivery": delivery.run,
    "chart": chart.run,
    "terraform": terraform.run,
}


def main() -> int:
    """Runs checks; 1 if any finds a problem."""
    bad = 0
    for name in sys.argv[1:] or CHECKS:
        began = time.monotonic()
        problems = CHECKS[name]()
        for problem in problems:
            print(problem)
        print(f"{name}: {f'{len(problems)} problems' if problems else 'sound'}, {time.monotonic() - began:.0f} s")
        bad += len(problems)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
