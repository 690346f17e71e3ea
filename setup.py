"""Where the packages are; everything else stands in pyproject.toml, which has no words for this.

The commands lie in apps/ at the top and are installed inside of kbert: many projects have a folder
`apps`, and the place of installed packages has room for one.
"""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["kbert", "kbert.*"]), "kbert.apps"],
    package_dir={"kbert.apps": "apps"},
)
