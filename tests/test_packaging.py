"""What an install puts onto a machine: a package `kbert`, the command, and nothing else."""

import re
import subprocess
import sys
import tomllib
import zipfile

import pytest

from tests.conftest import ROOT

BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    pytest.importorskip("setuptools", minversion="77")
    folder, source = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("source")
    files = subprocess.run(
        ["git", "ls-files", "-z", "kbert", "apps", "*.toml", "setup.py", "README.md", "LICENSE"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split("\0")  # fmt: skip
    for name in filter(None, files):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run(
        [sys.executable, "-c", BUILD, folder], cwd=source, capture_output=True, check=True
    )
    (file,) = folder.glob("*.whl")
    return zipfile.ZipFile(file)


def test_a_wheel_holds_kbert_alone(wheel):
    names = wheel.namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"kbert"}
    installed = {name for name in names if name.startswith("kbert/")}
    for folder, place in (("kbert", "kbert"), ("apps", "kbert/apps")):
        for path in (ROOT / folder).rglob("*.py"):
            assert f"{place}/{path.relative_to(ROOT / folder).as_posix()}" in installed
    page = {path.name for path in (ROOT / "kbert" / "serving" / "page").iterdir()}
    assert {f"kbert/serving/page/{name}" for name in page} <= installed


def test_its_command_is_there(wheel):
    (name,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "kbert = kbert.apps.cli:main" in wheel.read(name).decode()
    assert "kbert/apps/cli.py" in wheel.namelist()


def test_the_pins_lie_in_the_ranges():
    from packaging.requirements import Requirement

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(re.match(r"([\w.-]+)==(\S+)", line).groups() for line in lines if "==" in line)
    ranges = {found.name: found for found in map(Requirement, project["dependencies"])}
    assert set(ranges) == set(pins)
    assert all(ranges[name].specifier.contains(pin) for name, pin in pins.items())
