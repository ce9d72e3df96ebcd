"""What others wrote and the console serves: as published, with its licence, under the names that scripts use."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

STATIC = Path(__file__).parents[3] / "console" / "static"
FOLDER = STATIC / "vendor" / "codemirror"
PACKAGES = json.loads((FOLDER / "packages.json").read_text())


def test_every_vendored_file_is_the_one_that_was_published() -> None:
    files = {package["file"]: package for package in PACKAGES}
    assert {file.name for file in FOLDER.glob("*.mjs")} == set(files)
    for name, package in files.items():
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == package["sha256"], name
        assert package["license"] == "MIT"


def test_licences_name_every_package() -> None:
    licences = (FOLDER / "LICENSE.txt").read_text()
    assert [package["name"] for package in PACKAGES if package["name"] not in licences] == []


def test_the_import_map_has_every_library_that_a_script_imports() -> None:
    document = (STATIC / "index.html").read_text()
    known = json.loads(document.partition('<script type="importmap">')[2].partition("</script>")[0])["imports"]
    assert known == {each["name"]: f"/static/vendor/codemirror/{each['file']}" for each in PACKAGES}
    scripts = [*STATIC.glob("*.js"), *STATIC.glob("pages/*.js"), *FOLDER.glob("*.mjs")]
    found = (
        re.findall(r"^(?:import|export)\b[^;\n]*? from ['\"]([^'\"]+)['\"]", file.read_text(), re.M) for file in scripts
    )
    imported = {name for names in found for name in names}
    assert {name for name in imported if not name.startswith("/")} == set(known)


def test_types_are_checked_against_the_versions_that_are_served() -> None:
    checked = json.loads((STATIC.parents[1] / "scripts" / "javascript" / "package.json").read_text())["devDependencies"]
    served = {package["name"]: package["version"] for package in PACKAGES}
    assert {name: version for name, version in checked.items() if name in served}.items() <= served.items()
    assert "@codemirror/view" in checked
