"""Checks everything that deploys, without a cloud: `make infra-check`."""

from __future__ import annotations

import sys
import time

from infrastructure.checks import chart, images, terraform


def main() -> int:
    """Runs all checks; 1 if any finds a problem."""
    bad = 0
    for name, check in (("images", images.run), ("chart", chart.run), ("terraform", terraform.run)):
        began = time.monotonic()
        problems = check()
        for problem in problems:
            print(problem)
        print(f"{name}: {f'{len(problems)} problems' if problems else 'sound'}, {time.monotonic() - began:.0f} s")
        bad += len(problems)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
