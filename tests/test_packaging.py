"""What is shipped: the wheel is whole, and requirements are pinned by hash for every Python, without addresses."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PYTHONS = ("3.11", "3.13")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's content, as an installation would lay it down."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_wheel_has_code_templates_policies_and_sample_data(installed: Path) -> None:
    shipped = _files(installed)
    for path in (ROOT / "dataguard").rglob("*"):
        if path.is_file() and path.parent.name != "__pycache__":
            assert path.relative_to(ROOT).as_posix() in shipped
    for folder in ("checks", "sample_data"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and path.parent.name != "__pycache__":
                assert f"dataguard/{path.relative_to(ROOT).as_posix()}" in shipped
    assert any(name.endswith("dist-info/licenses/LICENSE") for name in shipped)
    tops = {name.split("/")[0] for name in shipped}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"dataguard"}


def test_an_installed_wheel_finds_its_folders_and_starts(installed: Path, tmp_path: Path) -> None:
    code = (
        "import dataguard; from dataguard import resources; "
        "print(dataguard.__file__); print(resources.folder('checks')); print(resources.folder('sample_data'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.splitlines() == [
        str(installed / "dataguard" / "__init__.py"),
        str(installed / "dataguard" / "checks"),
        str(installed / "dataguard" / "sample_data"),
    ]


def _pins(name: str) -> tuple[list[Requirement], list[str]]:
    """The requirements of a file, and the lines beside them."""
    pins, beside = [], []
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        text = line.rstrip(" \\")
        if not text.startswith(" ") and "==" in text:
            pins.append(Requirement(text))
        else:
            beside.append(text.strip())
    return pins, beside


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_requirements_are_pins_and_hashes_alone(name: str) -> None:
    pins, beside = _pins(name)
    assert beside[0].startswith("# Written by `make lock`")
    assert all(line.startswith("--hash=sha256:") and len(line) == 78 for line in beside[1:])
    assert all(pin.url is None and [one.operator for one in pin.specifier] == ["=="] for pin in pins)
    assert len(beside) > 2 * len(pins)


@pytest.mark.parametrize("python", PYTHONS)
def test_every_dependency_is_pinned_within_its_bounds(python: str) -> None:
    groups = PROJECT["dependency-groups"]
    runtime = PROJECT["project"]["dependencies"] + groups["build"]
    dev = [*runtime, *(one for one in groups["dev"] if isinstance(one, str))]
    environment = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux"}
    for name, wanted in (("requirements.txt", runtime), ("requirements-dev.txt", dev)):
        pinned = {
            canonicalize_name(pin.name): next(iter(pin.specifier)).version
            for pin in _pins(name)[0]
            if pin.marker is None or pin.marker.evaluate(environment)
        }
        for requirement in map(Requirement, wanted):
            version = pinned[canonicalize_name(requirement.name)]
            assert version in requirement.specifier, f"{requirement} is pinned to {version}: run `make lock`"


def test_both_files_pin_the_same() -> None:
    assert set(map(str, _pins("requirements.txt")[0])) <= set(map(str, _pins("requirements-dev.txt")[0]))
