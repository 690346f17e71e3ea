"""Compare models: pre-train variants, fine-tune each on tasks, with several seeds, and report.

    kbert ablate recipes/table8.toml --output runs/table8 --plan
    kbert ablate recipes/table8.toml --output runs/table8

A recipe (TOML; docs/laboratory.md) names the text, a baseline, what each variant does otherwise,
the tasks, the seeds, and what is expected. All of it is checked, and the time is measured, before
the first run. Stopped at any moment, the same command goes on; of a changed recipe it runs what
changed. Writes report.md, report.json and a plot to the output: mean and deviation, paired
differences to the baseline with 95 % intervals, and the paper's figures beside them.
"""

import pathlib
import sys
from argparse import Namespace

from .cli import run_command
from .parsing import Parser


def add_arguments(parser: Parser) -> None:
    """Add what the command is given."""
    from kbert.laboratory.settings import AblationSettings
    from kbert.settings import add_options

    parser.add_argument("recipe", metavar="RECIPE", help="a file of TOML")
    parser.add_argument("--output", required=True, metavar="FOLDER", help="the runs and the report")
    parser.add_argument("--plan", action="store_true", help="only measure and print the time")
    add_options(parser, AblationSettings)


def run(args: Namespace) -> None:
    """Do what the arguments say."""
    from kbert.laboratory.ablation import ablate
    from kbert.laboratory.report import PAGE
    from kbert.laboratory.settings import AblationSettings
    from kbert.settings import from_options

    settings = from_options(AblationSettings, args)
    ablate(args.recipe, args.output, plan_only=args.plan, **settings.to_json())
    if not args.plan:
        page = pathlib.Path(args.output) / PAGE
        print(page.read_text(encoding="utf-8"))
        print(f"wrote {page}")


if __name__ == "__main__":
    sys.exit(run_command("ablate", sys.argv[1:]))
