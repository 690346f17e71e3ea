"""Fine-tune with every combination of settings of a grid, and keep the best.

    kbert sweep classification --from CHECKPOINT --train train.tsv --validation dev.tsv \\
        --output DIRECTORY

The grid is that of the BERT paper (appendix A.3): 16 or 32 rows a batch, a rate of 5e-5, 3e-5 or
2e-5, and 2, 3 or 4 epochs; `--batch-size 32 --learning-rate 5e-5 1e-4` makes another. All other
options are those of `kbert finetune`. Stopped at any moment, the same command does the runs that
are missing. Prints a table, the best run first, and keeps that run's checkpoint in DIRECTORY;
`tensorboard --logdir DIRECTORY/runs` has the table under HParams.
"""

import sys

from apps.cli import run_command
from apps.finetune import add_tasks, arguments, keywords

# The values that the paper found to work well for all tasks.
GRID = {"batch_size": (16, 32), "learning_rate": (5e-5, 3e-5, 2e-5), "epochs": (2, 3, 4)}


def add_arguments(parser):
    # The options of the grid take the places of those of one value.
    for own in add_tasks(parser, conflict_handler="resolve"):
        group = own.add_argument_group("grid")
        for name, values in GRID.items():
            group.add_argument(
                "--" + name.replace("_", "-"),
                type=type(values[0]),
                nargs="+",
                default=values,
                metavar="N",
                help="one or more",
            )


def run(args):
    from kbert.finetuning.several_runs import finetune_several, grid, rank

    values = {name: list(dict.fromkeys(getattr(args, name))) for name in GRID}
    for name in GRID:
        setattr(args, name, values[name][0])
    report = finetune_several(*arguments(args), grid(values), **keywords(args))
    metric = report["metric"]

    def order(found):
        return rank(found["scores"].get(metric, float("nan")), metric)

    scores = [name for name in report["mean"] if name != metric]
    print("  ".join(f"{name:>13}" for name in (*GRID, "best_epoch", metric, *scores)))
    for found in sorted(report["runs"].values(), key=order, reverse=True):
        cells = [*(found[name] for name in GRID), found.get("best_epoch", "-")]
        cells += [f"{found['scores'].get(name, float('nan')):.4f}" for name in (metric, *scores)]
        print("  ".join(f"{cell:>13}" for cell in cells), "failed" if found["failed"] else "")
    print(f"best by {metric}: {report['best']}; wrote {args.output}")


if __name__ == "__main__":
    sys.exit(run_command("sweep", sys.argv[1:]))
