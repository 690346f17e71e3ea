"""Train a WordPiece vocabulary from text files.

    kbert vocabulary samples/text --output vocab.txt --size 2000

Files are .txt, .md or .jsonl, plain or compressed (.gz .xz .zst), in UTF-8; folders are searched.
Writes one piece a line, the special tokens first. Stopped at any moment, the same command goes on
from what it has counted, in OUTPUT.unfinished. With --runner Apache Beam counts on many machines;
options that are not below are passed on to it (docs/many-machines.md). Prints:

    vocab.txt: 2,000 pieces (uncased), 99.69% of characters, 1.15 pieces a word
    0.1 MB, 29,066 words (3,363 distinct): counted in 0.1 s (1.9 MB/s), learned in 0.2 s

A trained model gets more pieces, the words of a text that it reads in most parts, and begins with
the mean of these parts in the place of each:

    kbert vocabulary reviews.txt --extend CHECKPOINT --add 500 --output EXTENDED

EXTENDED is a checkpoint for finetune, and for prepare (its vocab.txt) and pretrain --from.
"""

import sys
from argparse import Namespace

from .cli import run_command
from .parsing import Parser


def add_arguments(parser: Parser) -> None:
    """Add what the command is given."""
    from kbert.corpus.settings import ExtensionSettings, RunnerSettings, VocabularySettings
    from kbert.settings import add_options

    parser.passes_others_on = True
    parser.add_argument("files", nargs="+", metavar="FILE", help="text files or folders")
    parser.add_argument(
        "--output",
        required=True,
        metavar="PATH",
        help="where to write vocab.txt; with --extend a checkpoint",
    )
    parser.add_argument(
        "--cased", action="store_true", help="keep capitals and accents (otherwise dropped)"
    )
    parser.add_argument(
        "--extend", metavar="CHECKPOINT", help="add pieces to its vocabulary, not --size and so on"
    )
    for settings in (VocabularySettings, RunnerSettings, ExtensionSettings):
        add_options(parser, settings)
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def run(args: Namespace) -> None:
    """Do what the arguments say."""
    from kbert.corpus.settings import ExtensionSettings, RunnerSettings, VocabularySettings
    from kbert.corpus.vocabulary import learn_vocabulary, summary_lines
    from kbert.errors import UsageError
    from kbert.files import check_writable
    from kbert.settings import from_options, given_options

    settings = from_options(VocabularySettings, args)
    if args.extend is not None:
        return _extend(args, settings)
    if given_options(ExtensionSettings, args):
        raise UsageError("--add is for --extend.")
    check_writable(args.output)  # Before minutes of work.
    trained = learn_vocabulary(
        args.files,
        settings.size,
        lowercase=not args.cased,
        min_frequency=settings.min_frequency,
        coverage=settings.coverage,
        field=settings.field,
        num_workers=settings.workers,
        progress=not args.quiet,
        output=args.output,
        runner=from_options(RunnerSettings, args, options=args.others),
    )
    print(*summary_lines(args.output, trained, not args.cased), sep="\n")


def _extend(args, settings):
    from kbert.corpus.settings import ExtensionSettings, RunnerSettings, VocabularySettings
    from kbert.errors import UsageError
    from kbert.settings import from_options, given_options
    from kbert.tensorflow_start import start_backend

    given = given_options(VocabularySettings, args) | given_options(RunnerSettings, args)
    for name in ("size", "coverage", "runner", "shared"):
        if name in given:
            raise UsageError(f"--{name} is of a new vocabulary, not for --extend.")
    from_options(RunnerSettings, args, options=args.others)  # There must be no others.
    if args.cased:
        raise UsageError("--cased is of a new vocabulary: --extend reads text as its checkpoint.")
    start_backend()
    from kbert.checkpoints.extension import write_extended
    from kbert.checkpoints.formats import load_any, pooling_of
    from kbert.checkpoints.hubs import write_source
    from kbert.corpus.vocabulary import problem_lines

    add = from_options(ExtensionSettings, args).add
    start, pooling = load_any(args.extend), pooling_of(args.extend)
    # Its vocab.txt is no text, wherever it lies.
    found = write_extended(
        args.output, start, args.files, add, settings, leave_out=[args.extend], pooling=pooling
    )
    write_source(args.output, args.extend)
    told = (
        f"{args.output}: {len(found.pieces):,} pieces more; the text has {found.tokens:,} tokens "
        f"without them, {found.tokens - found.saved:,} with them"
    )
    print(told, *problem_lines(found.problems), sep="\n")


if __name__ == "__main__":
    sys.exit(run_command("vocabulary", sys.argv[1:]))
