"""What the benchmarks share: contenders in turn, medians and ratios, the machine, files of results.

Machines are shared and drift; so contenders take turns, and what is reported are medians and
their ratios.
"""

import importlib.metadata
import json
import os
import pathlib
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence

import joblib

RESULTS = pathlib.Path(__file__).parent / "results"
IMAGES = pathlib.Path(__file__).parents[1] / "docs" / "images"


def interleave(
    contenders: Mapping[str, Callable[[], object]], rounds: int, warmup: int = 1
) -> dict[str, list[float]]:
    """Seconds of each call, by contender: all once, all again ..., after `warmup` such rounds.

    A contender that returns a float has measured itself, without its input and output, say.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(warmup + rounds):
        for name, call in contenders.items():
            began = time.perf_counter()
            own = call()
            passed = own if isinstance(own, float) else time.perf_counter() - began
            if number >= warmup:
                seconds[name].append(passed)
    return seconds


def summary(seconds: Mapping[str, Sequence[float]], reference: str, work: float = 1) -> dict:
    """For each contender: the median and range of its seconds, its rate, and `times`.

    Args:
        reference: the contender that `times` compares with: 2.0 is twice as fast as it.
        work: units (rows, tokens, megabytes) in one call; `rate` is units a second.
    """
    against = statistics.median(seconds[reference])
    return {
        name: {
            "seconds": round(statistics.median(values), 4),
            "lowest": round(min(values), 4),
            "highest": round(max(values), 4),
            "runs": len(values),
            "rate": round(work / statistics.median(values), 3),
            "times": round(against / statistics.median(values), 3),
        }
        for name, values in seconds.items()
    }


def machine() -> dict:
    """The processor, how many cores there are, what it multiplies in, the memory, the system."""
    fields = {"processor": platform.processor(), "flags": ""}
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = [line.split(":", 1) for line in cpuinfo.read_text().splitlines() if ":" in line]
        found = {key.strip(): value.strip() for key, value in lines}
        fields |= {"processor": found.get("model name", ""), "flags": found.get("flags", "")}
    wide = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
    return {
        "processor": fields["processor"],
        "extensions": [name for name in wide if name in fields["flags"].split()],
        "cores": joblib.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def versions(*packages: str, python: str | os.PathLike | None = None) -> dict[str, str]:
    """The installed versions, without what is not installed; `python`: in its environment."""
    if python is not None:
        code = "import importlib.metadata as m, json\n" + (
            "found = {d.name.lower(): d.version for d in m.distributions()}\n"
            f"print(json.dumps({{p: found[p] for p in {packages!r} if p in found}}))"
        )
        return json.loads(subprocess.run([python, "-c", code], capture_output=True).stdout or "{}")
    found = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def has_transformers(python: str | os.PathLike | None) -> bool:
    """Whether Hugging Face can take part; prints what is missing where it cannot."""
    if versions("torch", "transformers", python=python):
        return True
    print("without Hugging Face: give --peer-python of an environment with transformers")
    return False


def write_results(name: str, about: Mapping, results: Mapping) -> dict:
    """Write `benchmarks/results/NAME.json`: the machine, `about`, `results` by title.

    Results of earlier runs stay, so that a long benchmark can be run in parts, unless they are of
    another machine or other versions. Returns all that are in the file now.
    """
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    about = json.loads(json.dumps({"machine": machine(), **about}))
    earlier = json.loads(path.read_text()) if path.exists() else {}
    if {key: earlier.get(key) for key in about} == about:
        results = earlier["results"] | dict(results)
    path.write_text(json.dumps({**about, "results": results}, indent=1) + "\n")
    return dict(results)


def draw_bars(name: str, title: str, groups: Mapping[str, Mapping[str, float]], unit: str) -> None:
    """Write docs/images/NAME.png: a panel for each group, a bar for each contender.

    Without matplotlib there is no image, and no error.
    """
    try:
        import matplotlib
    except ImportError:
        print("no plot: matplotlib is not installed")
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1, len(groups), figsize=(3.6 * len(groups), 3), constrained_layout=True, squeeze=False
    )
    for axis, (group, values) in zip(axes.flat, groups.items(), strict=True):
        names = list(values)[::-1]
        colors = ["C0" if label.startswith("kbert") else "0.7" for label in names]
        bars = axis.barh(names, [values[label] for label in names], color=colors)
        axis.bar_label(bars, fmt="{:,.4g}", padding=2)
        axis.set(title=group, xlabel=unit)
        axis.margins(x=0.25)
    figure.suptitle(title)
    IMAGES.mkdir(parents=True, exist_ok=True)
    figure.savefig(IMAGES / f"{name}.png", dpi=100)
    plt.close(figure)
