"""Draw the curves of a pre-training run as a PNG, from its TensorBoard logs.

    python benchmarks/curves.py RUN --output docs/images/pretraining.png

Several runs are drawn over one another.
"""

import argparse
import pathlib

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

PANELS = (
    ("masked LM loss (nats)", "masked_lm_loss"),
    ("masked LM accuracy", "masked_lm_accuracy"),
    ("next sentence loss (nats)", "next_sentence_loss"),
    ("next sentence accuracy", "next_sentence_accuracy"),
)


def curves(run: str) -> dict:
    """name -> (steps, values) of every scalar that a run logged."""
    events = EventAccumulator(str(pathlib.Path(run) / "logs"), size_guidance={"tensors": 0})
    events.Reload()
    return {
        name: (
            [point.step for point in events.Tensors(name)],
            [float(point.tensor_proto.float_val[0]) for point in events.Tensors(name)],
        )
        for name in events.Tags()["tensors"]
        if name.startswith(("train/", "held_out/"))
    }


def draw(runs: list[str], output: str) -> None:
    figure, axes = plt.subplots(2, 2, figsize=(10, 7), constrained_layout=True)
    for index, run in enumerate(runs):
        scalars, label, color = curves(run), pathlib.Path(run).name, f"C{index}"
        for axis, (title, name) in zip(axes.flat, PANELS, strict=True):
            for part, opacity in (("train", 0.35), ("held_out", 1.0)):
                points = scalars.get(f"{part}/{name}", ([], []))
                axis.plot(*points, alpha=opacity, color=color, label=f"{label}, {part}")
            axis.set(title=title, xlabel="step")
            axis.grid(alpha=0.3)
    axes.flat[0].legend()
    pathlib.Path(output).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", metavar="RUN")
    parser.add_argument("--output", required=True)
    args = parser.parse_args()
    draw(args.runs, args.output)


if __name__ == "__main__":
    main()
