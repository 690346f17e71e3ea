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

_HIDDEN = ("build", "reference")


def build(output: pathlib.Path) -> int:
    """Write the site into a folder. Returns Sphinx's exit code."""
    from sphinx.cmd.build import main

    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder, "source")
        source.mkdir()
        # Pages link to files of the project beside them.
        for path in ROOT.iterdir():
            if not path.name.startswith(".") and path.name not in _HIDDEN:
                (source / path.name).symlink_to(path)
        write_commands(source / "reference" / "commands")
        write_reference(source / "reference" / "python.md")
        doctrees, conf = pathlib.Path(folder, "doctrees"), pathlib.Path(__file__).parent
        options = ["-q", "-W", "--keep-going", "-d", str(doctrees), "-c", str(conf)]
        code = main([*options, str(source), str(output)])
    first = '<meta http-equiv="refresh" content="0; url=docs/index.html">\n'
    (output / "index.html").write_text(first, encoding="utf-8")
    shutil.rmtree(output / ".doctrees", ignore_errors=True)
    return code


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(build(pathlib.Path(sys.argv[1])))
