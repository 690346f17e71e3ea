"""Turn text files into a token store, which `kbert pretrain` trains on.

    kbert prepare corpus/ more.jsonl.xz --vocabulary vocab.txt --output store

Files are .txt, .md or .jsonl, plain or .gz, .xz or .zst; folders are searched for them. A run that
was stopped continues when the same command is given again. With --runner Apache Beam works on many
machines; options that are not below are passed on to it (docs/many-machines.md):

    kbert prepare /shared/corpus --vocabulary /shared/vocab.txt --output /shared/store \
        --runner flink --flink_master=host:8081 --parallelism=32

At the end it prints

    train:       23,313 documents, 572,713 sentences, 13,625,271 tokens
    validation:  249 documents, 7,095 sentences, 174,884 tokens
    [UNK]:       0.0157 % of the tokens
    text:        64.6 MB, 4.68 bytes a token
    problems:    none
    time:        ... s, ... MB of text a second
"""

import os
import sys
from argparse import Namespace

from .cli import run_command
from .parsing import Parser

SHOWN_PROBLEMS = 20


def add_arguments(parser: Parser) -> None:
    """Add what the command is given."""
    from kbert.corpus.settings import PreparationSettings, Recipe, RunnerSettings
    from kbert.settings import add_options

    parser.passes_others_on = True
    parser.add_argument("inputs", nargs="+", metavar="FILE", help="text files and folders")
    parser.add_argument("--vocabulary", required=True, metavar="FILE", help="vocab.txt")
    parser.add_argument("--output", required=True, metavar="STORE", help="folder of the store")
    parser.add_argument(
        "--entities",
        metavar="FILE_OR_TAGGER",
        help="names, one a line, or a tagger's checkpoint, for kbert pretrain to mask whole",
    )
    parser.add_argument(
        "--cased", action="store_true", help="keep capitals and accents (otherwise dropped)"
    )
    for settings in (PreparationSettings, Recipe, RunnerSettings):
        add_options(parser, settings)


def run(args: Namespace) -> None:
    """Do what the arguments say."""
    # Text needs no GPU, and TensorFlow would take all of its memory.
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    from kbert.corpus.prepare import prepare
    from kbert.corpus.settings import PreparationSettings, Recipe, RunnerSettings
    from kbert.settings import from_options

    recipe = from_options(Recipe, args, lowercase=not args.cased)
    settings = from_options(PreparationSettings, args)
    options = vars(settings) | vars(recipe)
    options["runner"] = from_options(RunnerSettings, args, options=args.others)
    result = prepare(
        args.inputs, args.output, args.vocabulary, entities=_entities(args.entities), **options
    )
    if result["already_finished"]:
        print(f"{args.output} is already finished, from the same files with the same options.")
    _print_summary(result)
    if recipe.validation_share and not result["splits"]["validation"]["documents"]:
        print("No document fell into validation: raise --validation-share to measure progress.")


def _entities(path):
    """A file as it is; of a folder the tagger in it."""
    if path is None or not os.path.isdir(path):
        return path
    from kbert.inference.tagged_entities import TaggedEntities

    return TaggedEntities(path)


def _print_summary(result):
    summary = result["summary"]
    for split, counts in result["splits"].items():
        sizes = ", ".join(f"{count:,} {name}" for name, count in counts.items())
        print(f"{split + ':':<12} {sizes}")
    print(f"[UNK]:       {100 * summary['unknown_rate']:.3g} % of the tokens")
    megabytes = summary["bytes"] / 1e6
    print(f"text:        {megabytes:,.1f} MB, {summary['bytes_per_token']:.2f} bytes a token")
    _print_problems(summary["problems"])
    if not result["already_finished"]:
        rate = result["megabytes_per_second"]
        print(f"time:        {result['seconds']:.1f} s, {rate:.1f} MB of text a second")


def _print_problems(problems):
    listed, unlisted = problems["listed"], problems["unlisted"]
    if not listed:
        print("problems:    none")
    for entry in listed[:SHOWN_PROBLEMS]:
        place = f", first in line {entry['first_line']}" if entry["first_line"] else ""
        print(f"problem:     {entry['file']}: {entry['problem']}: {entry['count']:,}{place}")
    hidden = sum(entry["count"] for entry in listed[SHOWN_PROBLEMS:]) + unlisted
    if hidden:
        print(f"problems:    {hidden:,} more; see store.json")


if __name__ == "__main__":
    sys.exit(run_command("prepare", sys.argv[1:]))
