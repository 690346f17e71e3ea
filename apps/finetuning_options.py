"""What `kbert finetune` and `kbert sweep` are given, and what they tell kbert of it."""

import dataclasses


def add_tasks(parser, without=()):
    """A parser for each task, with the options of fine-tuning but those of `without`."""
    from kbert.finetuning.settings import (
        EpochChoice,
        FeatureSettings,
        FinetuningSettings,
        RowSettings,
    )
    from kbert.settings import add_options
    from kbert.tasks import TASKS
    from kbert.tasks.readers.bad_rows import BadRowSettings
    from kbert.tasks.readers.glue import GlueFile, trainable

    tasks = parser.add_subparsers(dest="task", metavar="TASK", required=True, help="one of:")
    for name, task in TASKS.items():
        summary = task.__doc__.splitlines()[0]
        own = tasks.add_parser(name, help=summary, description=summary)
        _add_files(own)
        add_options(own, RowSettings)
        add_options(own, BadRowSettings)
        if "features" in {field.name for field in dataclasses.fields(task)}:
            add_options(own, FeatureSettings)
        add_options(own, EpochChoice, choices={"metric": task.metric_names})
        add_options(own, FinetuningSettings, without=without)
        if trainable(name):
            add_options(own, GlueFile, choices={"glue": trainable(name)})
        add_options(own, task)
        yield own


def _add_files(parser):
    """What is read and what is written."""
    files = parser.add_argument_group("files")
    files.add_argument(
        "--from",
        dest="checkpoint",
        required=True,
        metavar="CHECKPOINT",
        help="where to start: a folder, or a name",
    )
    files.add_argument(
        "--train", required=True, nargs="+", metavar="FILE", help="labelled rows; several are one"
    )
    files.add_argument("--validation", metavar="FILE", help="labelled rows to choose the epoch by")
    files.add_argument("--output", required=True, metavar="FOLDER", help="what to write")
    files.add_argument("--overwrite", action="store_true", help="the output may exist")
    files.add_argument(
        "--from-random",
        action="store_true",
        help="random weights; the checkpoint gives configuration and vocabulary (to compare)",
    )


def arguments(args, **known):
    """What `finetune` and `finetune_several` are told first; `known` are settings."""
    from kbert.finetuning.settings import FinetuningSettings
    from kbert.settings import from_options
    from kbert.tasks import TASKS
    from kbert.tasks.readers.glue import GlueFile

    columns = from_options(GlueFile, args).columns("labelled")
    task = from_options(TASKS[args.task], args, columns)
    settings = from_options(FinetuningSettings, args, **known)
    return task, args.checkpoint, args.train, args.output, settings


def keywords(args):
    """The other options, as keyword arguments of both."""
    from kbert.finetuning.settings import EpochChoice, FeatureSettings, RowSettings
    from kbert.settings import from_options, given_options
    from kbert.tasks.readers.bad_rows import BadRowSettings
    from kbert.tasks.readers.glue import GlueFile

    given = from_options(GlueFile, args).metric()
    for settings in (RowSettings, BadRowSettings, FeatureSettings, EpochChoice):
        given |= given_options(settings, args)
    return given | {
        "validation_path": args.validation,
        "from_random": args.from_random,
        "overwrite": args.overwrite,
    }
