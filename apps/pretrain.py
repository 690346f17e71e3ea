"""Pre-train BERT on a token store: masked LM and next sentence.

    kbert pretrain store --output runs/mini --preset mini --num-steps 20000 --batch-size 64

Shows losses, accuracies and speed, and saves every so often; `tensorboard --logdir runs/mini/logs`
draws the curves. Stopped at any moment, the same command goes on. At the end the output folder is a
checkpoint for fill-mask, finetune and export.
"""

import dataclasses
import sys

from kbert.config import PRESETS
from kbert.errors import DataError


def add_arguments(parser):
    from kbert.pretraining.settings import PretrainingSettings, Schedule
    from kbert.settings import add_fields

    parser.add_argument("store", help="token store that kbert prepare wrote")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder of the run")
    model = parser.add_mutually_exclusive_group()
    model.add_argument("--preset", default="base", choices=PRESETS, help="size of a new model")
    model.add_argument(
        "--from", dest="start", metavar="CHECKPOINT", help="go on with a trained model instead"
    )
    parser.add_argument(
        "--dropout", type=float, default=0.1, metavar="SHARE", help="of hidden and attention"
    )
    for settings in (PretrainingSettings, Schedule):
        add_fields(parser, settings)


def run(args):
    from kbert.pretraining.settings import PretrainingSettings, Schedule
    from kbert.settings import from_fields

    settings, schedule = from_fields(PretrainingSettings, args), from_fields(Schedule, args)
    from kbert.corpus.store import TokenStore
    from kbert.pretraining.run import pretrain

    store = TokenStore(args.store)
    config, start = model_of(args, store)
    summary = pretrain(store, args.output, config, settings, schedule, start=start)
    print(f"{args.output} is a checkpoint after {summary['steps']} steps.")
    print(f'Try it: kbert fill-mask {args.output} "... [MASK] ..."')


def model_of(args, store):
    """The configuration of the model, and the trained model that it starts from, if any."""
    from kbert.checkpoints.directory import load_model
    from kbert.config import BertConfig
    from kbert.text.vocabulary import load_vocabulary

    dropout = {"dropout": args.dropout, "attention_dropout": args.dropout}
    try:
        if args.start is None:
            return BertConfig.preset(args.preset, len(store.vocabulary), **dropout), None
        if load_vocabulary(f"{args.start}/vocab.txt") != store.vocabulary:
            raise DataError(f"{args.start} and {args.store} must have the same vocabulary.")
        start, config, _ = load_model(args.start)
        return dataclasses.replace(config, **dropout), start
    except DataError:
        raise
    except ValueError as error:
        raise DataError(str(error)) from error


if __name__ == "__main__":
    from apps.cli import run_command

    sys.exit(run_command("pretrain", sys.argv[1:]))
