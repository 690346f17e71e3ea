"""The shape of the code: who imports whom, where TensorFlow is, how long a file is."""

import ast
import functools
import importlib.util
import subprocess
import sys

import pytest

import kbert
from tests.conftest import ROOT

# Lower parts import nothing from higher ones; parts of one line do not import each other.
ORDER = (
    ("errors",),
    ("files", "settings", "tensorflow_start"),
    ("config", "checksums", "claim", "figures"),
    ("model_settings",),
    ("text", "metrics", "layers"),
    ("models", "corpus"),
    ("tasks",),
    ("checkpoints",),
    ("engine", "inference"),
    ("pretraining", "finetuning"),
    ("laboratory", "serving"),
    ("apps",),
)
LEVELS = {part: level for level, parts in enumerate(ORDER) for part in parts}
# The only homes of TensorFlow, besides everything in serving/.
WITH_TENSORFLOW = {
    "kbert/text/tensor_strings.py",
    "kbert/text/tokenizer.py",
    "kbert/inference/forward.py",
    "kbert/inference/views/gradients.py",
    "kbert/engine/devices.py",
    "kbert/engine/fused_adam.py",
    "kbert/engine/tensorflow.py",
    "kbert/engine/traces.py",
    "kbert/checkpoints/google/release.py",
}
FILES = sorted(
    path.relative_to(ROOT)
    for folder in ("kbert", "apps")
    for path in (ROOT / folder).rglob("*.py")
    if path != ROOT / "kbert" / "__init__.py"
)


@functools.cache
def tree_of(file):
    return ast.parse((ROOT / file).read_text(encoding="utf-8"))


@functools.cache
def imports_of(file):
    """The modules that a file imports, inside functions too."""
    found = []
    for node in ast.walk(tree_of(file)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = f"apps.{node.module}" if node.level else node.module
            if file.parts[0] == "apps":
                # Its name is kbert.apps where kbert is installed.
                assert node.module.split(".")[0] != "apps", f"{file}: expected `from .{module}`"
            else:
                assert node.level == 0, f"{file}: imports are absolute"
            found += [f"{module}.{alias.name}" for alias in node.names]
    return found


def roots_of(file):
    return {module.split(".")[0] for module in imports_of(file)}


def part_of(module):
    """`kbert.pretraining.rows` -> pretraining; `apps.cli` -> apps; others -> None."""
    names = module.split(".")
    if names[0] == "apps":
        return "apps"
    return names[1] if names[0] == "kbert" and len(names) > 1 else None


def module_of(file):
    return ".".join(file.with_suffix("").parts).removesuffix(".__init__")


def test_imports_go_down():
    for file in FILES:
        own = part_of(module_of(file))
        for module in imports_of(file):
            part = part_of(module)
            if part is None or part == own or (own == "apps" and part == "__version__"):
                continue
            assert part in LEVELS, f"{file} imports {module}: name its part, not the package"
            assert LEVELS[part] < LEVELS[own], f"{file} imports {module}"


def test_no_cycles():
    """Between files, so inside a part too."""
    modules = {module_of(file): file for file in FILES}

    def known(name):
        """Of `from a.b import c`: the module a.b.c, or a.b where c is a name in it."""
        return next((m for m in (name, name.rpartition(".")[0]) if m in modules), None)

    graph = {
        name: {found for found in map(known, imports_of(file)) if found not in (None, name)}
        for name, file in modules.items()
    }
    done = set()
    while len(done) < len(graph):
        free = {name for name, needs in graph.items() if name not in done and needs <= done}
        assert free, f"cycle among {sorted(set(graph) - done)}"
        done |= free


def test_tensorflow_has_few_homes():
    """Those of the list, and each of them."""
    found = {
        file.as_posix()
        for file in FILES
        if roots_of(file) & {"tensorflow", "tensorflow_text", "tf_keras"}
        and file.parts[:2] != ("kbert", "serving")
    }
    assert found == WITH_TENSORFLOW


def test_layers_need_keras_only():
    layers = [file for file in FILES if file.parts[:2] == ("kbert", "layers")]
    assert layers
    for file in layers:
        assert roots_of(file) - {"keras", "kbert"} <= sys.stdlib_module_names, file


def test_files_are_short_and_named_after_what_they_do():
    for file in FILES:
        lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
        assert len(lines) <= 400, file
        assert file.stem not in {"utils", "util", "helpers", "helper", "common", "misc"}, file
        assert not lines or ast.get_docstring(tree_of(file)), f"{file}: no docstring"


def test_every_public_name_has_a_home():
    for name, home in kbert._HOMES.items():
        spec = importlib.util.find_spec(home)
        assert spec is not None, f"{home} of kbert.{name} does not exist"
        tree = ast.parse(open(spec.origin, encoding="utf-8").read())
        defined = {getattr(node, "name", None) for node in tree.body}
        assert name in defined, f"{home} does not define {name}"


def test_unknown_names_raise():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = kbert.nothing
    assert set(kbert.__all__) <= set(dir(kbert))


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, kbert; print(sorted({'keras', 'numpy', 'tensorflow'} & set(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
