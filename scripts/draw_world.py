"""Writes the world map of the console: Natural Earth's 1:110m countries (public domain) as one path of an SVG.

Run: .venv/bin/python scripts/draw_world.py

Natural Earth comes as TopoJSON in the npm package `world-atlas`, which `npm pack` fetches. The projection is plate
carrée: x is longitude + 180, y is 90 - latitude, in degrees, so that a place needs no library to be drawn.
"""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
import tempfile
from collections import Counter
from itertools import accumulate
from pathlib import Path
from typing import Any

PACKAGE = "world-atlas@2.0.2"
SOURCE = "package/countries-110m.json"
TARGET = Path(__file__).parent.parent / "console" / "static" / "world.js"

Point = tuple[float, float]


def fetch() -> dict[str, Any]:
    """The topology, out of the package."""
    with tempfile.TemporaryDirectory() as folder:
        packed = subprocess.run(
            ["npm", "pack", PACKAGE, "--silent", "--pack-destination", folder],
            capture_output=True,
            text=True,
            check=True,
        )
        with tarfile.open(fileobj=io.BytesIO((Path(folder) / packed.stdout.strip()).read_bytes())) as archive:
            member = archive.extractfile(SOURCE)
            assert member is not None, f"{PACKAGE} lacks {SOURCE}"
            topology: dict[str, Any] = json.load(member)
            return topology


def arcs_of(topology: dict[str, Any]) -> list[list[Point]]:
    """Every arc in degrees: TopoJSON keeps steps between quantised points."""
    (scale_x, scale_y), (move_x, move_y) = topology["transform"]["scale"], topology["transform"]["translate"]

    def place(x: int, y: int) -> Point:
        return round(x * scale_x + move_x + 180, 1), round(90 - (y * scale_y + move_y), 1)

    return [
        [place(x, y) for x, y in accumulate(arc, lambda at, step: (at[0] + step[0], at[1] + step[1]))]
        for arc in topology["arcs"]
    ]


def path_of(points: list[Point]) -> str:
    """A line as steps, without points that rounding made equal."""
    (x, y), steps = points[0], []
    last = (x, y)
    for point in points[1:]:
        if point != last:
            steps.append(f"{round(point[0] - last[0], 1):g},{round(point[1] - last[1], 1):g}")
            last = point
    return f"M{x:g},{y:g}l" + " ".join(steps) if steps else ""


def polygons_of(geometry: dict[str, Any]) -> list[list[list[int]]]:
    """Its polygons, each of rings, each of numbers of arcs; ~n is arc n backwards."""
    return [geometry["arcs"]] if geometry["type"] == "Polygon" else list(geometry["arcs"])


def land_of(topology: dict[str, Any], arcs: list[list[Point]]) -> str:
    """The land as closed rings."""
    rings = [
        ring for part in topology["objects"]["land"]["geometries"] for polygon in polygons_of(part) for ring in polygon
    ]
    lines = [[point for n in ring for point in (arcs[n] if n >= 0 else arcs[~n][::-1])] for ring in rings]
    return "".join(f"{path_of(line)}Z" for line in lines)


def borders_of(topology: dict[str, Any], arcs: list[list[Point]]) -> str:
    """The arcs that two countries share."""
    countries = topology["objects"]["countries"]["geometries"]
    used = Counter(
        n if n >= 0 else ~n for part in countries for rings in polygons_of(part) for ring in rings for n in ring
    )
    return "".join(path_of(arcs[number]) for number, count in sorted(used.items()) if count > 1)


def main() -> None:
    """Writes the module."""
    topology = fetch()
    arcs = arcs_of(topology)
    TARGET.write_text(
        "// Written by scripts/draw_world.py. Made with Natural Earth (public domain), 1:110m.\n"
        "// x is longitude + 180, y is 90 - latitude, in degrees.\n"
        f'export const LAND = "{land_of(topology, arcs)}";\n'
        f'export const BORDERS = "{borders_of(topology, arcs)}";\n'
    )


if __name__ == "__main__":
    main()
