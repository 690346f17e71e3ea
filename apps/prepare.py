"""Turn text files into a token store, which `kbert pretrain` trains on.

    kbert prepare corpus/ more.jsonl.xz --vocabulary vocab.txt --output store

Files are .txt, .md or .jsonl, plain or .gz, .xz or .zst; folders are searched for them. A run that
was stopped continues when the same command is given again. At the end it prints

    train:       23,313 documents, 572,713 sentences, 13,625,271 tokens
    validation:  249 documents, 7,095 sentences, 174,884 tokens
    [UNK]:       0.0157 % of the tokens
    text:        64.6 MB, 4.68 bytes a token
    problems:    none
    time:        ... s, ... MB of text a second
"""

import os
import sys

from kbert.errors import DataError

SHOWN_PROBLEMS = 20


def add_arguments(parser):
    parser.add_argument("inputs", nargs="+", metavar="FILE", help="text files and folders")
    parser.add_argument("--vocabulary", required=True, metavar="FILE", help="vocab.txt")
    parser.add_argument("--output", required=True, metavar="STORE", help="folder of the store")
    parser.add_argument("--cased", action="store_true", help="keep capitals and accents")
    parser.add_argument(
        "--document",
        choices=("blank-line", "file"),
        default="blank-line",
        help="what ends a document in .txt and .md",
    )
    parser.add_argument("--field", default="text", help="field of a .jsonl line with the document")
    parser.add_argument(
        "--sentences",
        choices=("punctuation", "line"),
        default="punctuation",
        help="what ends a sentence, besides the end of a line",
    )
    parser.add_argument(
        "--validation-share",
        type=float,
        default=0.01,
        metavar="SHARE",
        help="share of the documents to hold out",
    )
    parser.add_argument(
        "--processes", type=int, metavar="N", help="workers (default: as many as cores)"
    )


def run(args):
    if args.processes is not None and args.processes < 1:
        raise DataError(f"--processes must be at least 1. Received: {args.processes}.")
    # Text needs no GPU, and TensorFlow would take all of its memory.
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    from kbert.corpus.prepare import prepare

    result = prepare(
        args.inputs,
        args.output,
        args.vocabulary,
        lowercase=not args.cased,
        document=args.document,
        field=args.field,
        sentences=args.sentences,
        validation_share=args.validation_share,
        processes=args.processes,
    )
    if result["already_finished"]:
        print(f"{args.output} is already finished, from the same files with the same options.")
    print_summary(result)
    if args.validation_share and not result["splits"]["validation"]["documents"]:
        print("No document fell into validation: raise --validation-share to measure progress.")


def print_summary(result):
    summary = result["summary"]
    for split, counts in result["splits"].items():
        sizes = ", ".join(f"{count:,} {name}" for name, count in counts.items())
        print(f"{split + ':':<12} {sizes}")
    print(f"[UNK]:       {100 * summary['unknown_rate']:.3g} % of the tokens")
    megabytes = summary["bytes"] / 1e6
    print(f"text:        {megabytes:,.1f} MB, {summary['bytes_per_token']:.2f} bytes a token")
    print_problems(summary["problems"])
    if not result["already_finished"]:
        rate = result["megabytes_per_second"]
        print(f"time:        {result['seconds']:.1f} s, {rate:.1f} MB of text a second")


def print_problems(problems):
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
    from .cli import run_command

    sys.exit(run_command("prepare", sys.argv[1:]))
