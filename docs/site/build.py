"""Builds the documentation site: docs/, a page for each command, and the Python reference.

    python docs/site/build.py OUTPUT

OUTPUT/index.html is the start. Everything that a page needs lies in OUTPUT. A broken link or
heading ends the build.
"""

import pathlib
import shutil
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(pathlib.Path(__file__).parent)]

from commands import write_commands  # noqa: E402
from reference import write_reference  # noqa: E402

_LEFT_OUT = (".*", "__pycache__", "build", "dist", "*.egg-info", "*.safetensors", "quickstart")


def build(output: pathlib.Path) -> int:
    """Write the site into a folder. Returns Sphinx's exit code."""
    from sphinx.cmd.build import main

    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder, "source")
        # With all that pages link to. A copy: the generated pages stand among the others.
        shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(*_LEFT_OUT))
        write_commands(source / "reference" / "commands")
        write_reference(source / "reference" / "python.md")
        site, conf = pathlib.Path(folder, "site"), pathlib.Path(__file__).parent
        options = ["-q", "-W", "--keep-going", "-d", f"{folder}/doctrees", "-c", str(conf)]
        code = main([*options, str(source), str(site)])
        shutil.copytree(site, output, dirs_exist_ok=True)
    first = '<meta http-equiv="refresh" content="0; url=docs/index.html">\n'
    (output / "index.html").write_text(first, encoding="utf-8")
    return code


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(build(pathlib.Path(sys.argv[1])))
