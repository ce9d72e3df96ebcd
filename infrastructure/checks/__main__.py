"""Checks everything that deploys, without a cloud: `make infra-check`."""

from __future__ import annotations

import sys
import time

from infrastructure.checks import chart, delivery, images, terraform


def main() -> int:
    """Runs all checks; 1 if any finds a problem."""
    bad = 0
    checks = {"images": images.run, "delivery": delivery.run, "chart": chart.run, "terraform": terraform.run}
    for name, check in checks.items():
        began = time.monotonic()
        problems = check()
        for problem in problems:
            print(problem)
        print(f"{name}: {f'{len(problems)} problems' if problems else 'sound'}, {time.monotonic() - began:.0f} s")
        bad += len(problems)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
