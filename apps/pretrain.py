"""Pre-train BERT on a token store: masked LM and next sentence, or another objective.

    kbert pretrain store --output runs/mini --preset mini --num-steps 20000 --batch-size 64

Shows losses, accuracies and speed, and saves every so often; `tensorboard --logdir runs/mini/logs`
draws the curves. Stopped at any moment, the same command goes on. At the end the output folder is a
checkpoint for fill-mask, finetune and export. More steps are another run that starts from it:

    kbert pretrain store --from runs/mini --output runs/mini-2 --seed 1 --num-steps 5000

The objective left-to-right makes an encoder that sees to the left only.
"""

import sys
from argparse import Namespace

from kbert.errors import UsageError

from .cli import run_command
from .parsing import Parser


def add_arguments(parser: Parser) -> None:
    """Add what the command is given."""
    from kbert.model_settings import NewModel
    from kbert.pretraining.settings import PretrainingSettings, Schedule
    from kbert.settings import add_options

    parser.add_argument("store", help="token store that kbert prepare wrote")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder of the run")
    parser.add_argument(
        "--from",
        dest="start",
        metavar="CHECKPOINT",
        help="go on with a trained model instead; with --num-layers a deeper one that begins as it",
    )
    for settings in (NewModel, PretrainingSettings, Schedule):
        add_options(parser, settings)


def run(args: Namespace) -> None:
    """Do what the arguments say."""
    from kbert.model_settings import NewModel
    from kbert.pretraining.settings import PretrainingSettings, Schedule
    from kbert.settings import from_options, given_options, option_name

    settings, schedule = from_options(PretrainingSettings, args), from_options(Schedule, args)
    new = from_options(NewModel, args)
    if args.start is not None:
        for name in sorted(given_options(NewModel, args).keys() - {"dropout", "num_layers"}):
            raise UsageError(f"{option_name(name)} is not allowed with --from, which has one.")
    from kbert.checkpoints.hubs import write_source
    from kbert.corpus.store import TokenStore
    from kbert.engine.workers import by_chief
    from kbert.pretraining.first_model import first_model
    from kbert.pretraining.objectives import OBJECTIVES
    from kbert.pretraining.run import pretrain

    store = TokenStore(args.store)
    objective = OBJECTIVES[settings.objective]
    config, start = first_model(store, new, args.start, objective.direction)
    summary = pretrain(store, args.output, config, settings, schedule, start=start)
    if args.start is not None:
        by_chief(write_source)(args.output, args.start)
    print(f"{args.output} is a checkpoint after {summary['steps']} steps.")
    hint = 'fill-mask {} "... [MASK] ..."' if objective.hides else "perplexity {} texts.txt"
    print(f"Try it: kbert {hint.format(args.output)}")


if __name__ == "__main__":
    sys.exit(run_command("pretrain", sys.argv[1:]))
