"""Names what a Terraform plan would remove or replace: `python3 -m infrastructure.plan_guard <PLAN.json`.

The plan is what `terraform show -json` prints. Exit code 0 where nothing goes, 3 where somebody has to look first. It
needs nothing but Python, so that it runs in any workflow.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

NOTHING_LOST = {"aws_sagemaker_endpoint_configuration", "aws_sagemaker_model", "aws_launch_template"}
"""Types that a normal change replaces, and that hold neither data nor rights: their successors stand before they go."""

LOOK_FIRST = 3


def removed(plan: Mapping[str, Any]) -> Iterator[str]:
    """What goes, each with its address; with `and made again` where something takes its place.

    Args:
        plan: as `terraform show -json` prints it.
    """
    for each in plan.get("resource_changes", []):
        actions = each["change"]["actions"]
        if "delete" in actions and each["type"] not in NOTHING_LOST:
            yield f"{each['address']}: removed{' and made again' if 'create' in actions else ''}"


def main() -> int:
    """Prints what goes; see the module."""
    found = list(removed(json.load(sys.stdin)))
    for each in found:
        print(each)
    return LOOK_FIRST if found else 0


if __name__ == "__main__":
    sys.exit(main())
