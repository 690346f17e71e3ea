"""Convert a BERT between kbert, Hugging Face, Google's releases and keras-hub.

    kbert convert bert-base-uncased/ --output checkpoints/base
    kbert convert runs/mini --output mini-hf --to huggingface

The format of the source is seen from its files. Weights are the same numbers in every format; what
a format cannot hold is an error that names it.
"""

import sys

from kbert.checkpoints.formats import FORMATS

from .cli import run_command


def add_arguments(parser):
    parser.add_argument("source", metavar="SOURCE", help="a folder with a BERT")
    parser.add_argument("--output", required=True, metavar="FOLDER", help="what to write")
    parser.add_argument("--to", choices=FORMATS, default="kbert", help="format of the output")
    parser.add_argument(
        "--encoder-only",
        action="store_true",
        help="leave out pre-training heads, a task's, and how a text's vector is made",
    )
    parser.add_argument(
        "--allow-missing-heads",
        action="store_true",
        help="begin heads anew that the source lacks, and say which (Hugging Face and Google)",
    )
    parser.add_argument(
        "--lowercase",
        action="store_true",
        default=None,
        help="of Google's: the model is uncased; without it the vocabulary decides",
    )
    parser.add_argument(
        "--second-column",
        metavar="COLUMN",
        help="of a classifier of Hugging Face that takes pairs: the second text's column",
    )
    parser.add_argument(
        "--dtype",
        choices=["float32", "float16"],
        default="float32",
        help="of the weights on disk (kbert and Hugging Face)",
    )


def run(args):
    import pathlib
    import warnings

    from kbert.checkpoints.directory import Checkpoint, encoder_of
    from kbert.checkpoints.formats import format_of, pooling_of, pooling_writer, reader, writer
    from kbert.errors import DataError
    from kbert.files import check_folder_writable, replacing_folder

    output = pathlib.Path(args.output)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise DataError(f"{output} must be a new or an empty folder.")
    check_folder_writable(output)
    source = format_of(args.source)
    pooling = pooling_of(args.source)
    if pooling is not None and args.encoder_only:
        print(f"{args.source} says how a text's vector is made, which is left out.")
        pooling = None
    write_pooling = None if pooling is None else pooling_writer(args.to)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", UserWarning)
        checkpoint = reader(source)(args.source, **reading_options(source, args))
    for warning in said:
        if warning.category is UserWarning:
            print(warning.message)
    if args.encoder_only:
        if not any(weight.path.startswith("pooler/") for weight in checkpoint.model.weights):
            print(f"{args.source} has no pooler: newly initialised.")
        checkpoint = Checkpoint(encoder_of(checkpoint), checkpoint.tokenizer, checkpoint.config)
    with replacing_folder(output) as folder:
        writer(args.to)(folder, checkpoint, **writing_options(args))
        if write_pooling is not None:
            write_pooling(folder, pooling)
    kind = "encoder" if checkpoint.task is None else checkpoint.task.name
    if checkpoint.task is None and "masked_lm" in checkpoint.model.output:
        kind = "pre-training model"
    count = checkpoint.model.count_params()
    print(f"{args.source} ({source}) -> {args.output} ({args.to}): {kind}, {count:,} parameters")


def reading_options(source, args):
    options = {}
    if source in ("huggingface", "google"):
        options["allow_missing_heads"] = args.allow_missing_heads
    if source == "huggingface":
        options["second_column"] = args.second_column
    if source == "google":
        options["lowercase"] = args.lowercase
    return options


def writing_options(args):
    return {"dtype": args.dtype} if args.to in ("kbert", "huggingface") else {}


if __name__ == "__main__":
    sys.exit(run_command("convert", sys.argv[1:]))
