"""Text to token stores and vocabularies, beside Google's script, `tokenizers` and tensorflow-text.

    python benchmarks/text.py --data DATA --google google-research-bert/

DATA holds the folders pretrain_en and pretrain_zh, with enwiki.jsonl.xz and zhwiki.jsonl.xz in
them, and vocab. GOOGLE is a checkout of github.com/google-research/bert; without it its script is
left out. Writes benchmarks/results/text.json and docs/images/text.png.
"""

import argparse
import itertools
import json
import lzma
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time
from statistics import median

from timing import draw_bars, versions, write_results

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
CORPORA = {"English": "pretrain_en/enwiki.jsonl.xz", "Chinese": "pretrain_zh/zhwiki.jsonl.xz"}
FOLDERS = {"English": "pretrain_en", "Chinese": "pretrain_zh"}
VOCABULARIES = {"English": "bert-base-uncased", "Chinese": "bert-base-chinese"}
SIZE = 30_000
GOOGLE_MEGABYTES = 2.4
HELD_OUT_MEGABYTES = 2.0


def read_documents(path: pathlib.Path, skip: float, megabytes: float) -> list[str]:
    """Documents of a corpus, `megabytes` of them after the first `skip`."""
    found, passed = [], 0
    with lzma.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            text = json.loads(line)["text"]
            passed += len(text.encode())
            if passed > (skip + megabytes) * 1e6:
                return found
            if passed > skip * 1e6:
                found.append(text)
    return found


def prepare_store(data, language, folder, processes: int | None = None) -> dict:
    """`kbert prepare` on a folder as it is, compressed; the most memory of its processes."""
    from kbert.corpus.prepare import prepare

    found = prepare(
        [str(data / FOLDERS[language])],
        str(folder / f"store-{language}-{processes}"),
        str(data / "vocab" / f"{VOCABULARIES[language]}.vocab.txt"),
        processes=processes,
        progress=False,
    )
    usage = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, -1)]
    return {
        "megabytes": round(found["summary"]["bytes"] / 1e6, 1),
        "seconds": round(found["seconds"], 2),
        "megabytes_per_second": round(found["summary"]["bytes"] / 1e6 / found["seconds"], 2),
        "once_workers_run": round(found["megabytes_per_second"], 2),
        "peak_memory_megabytes": {"self": usage[0] // 1024, "largest worker": usage[1] // 1024},
    }


def google_script(data, google, folder, copies: int) -> dict:
    """create_pretraining_data.py on some megabytes, one sentence a line, rows of 128 tokens."""
    from kbert.text.sentences import split_sentences

    for name in ("create_pretraining_data.py", "tokenization.py"):
        code = (google / name).read_text(encoding="utf-8")
        # Their only change: the names of TensorFlow 1.
        code = code.replace("import tensorflow as tf", "import tensorflow.compat.v1 as tf")
        (folder / name).write_text(code, encoding="utf-8")
    documents = read_documents(data / CORPORA["English"], 0, GOOGLE_MEGABYTES)
    text = "\n\n".join("\n".join(split_sentences(document)) for document in documents)
    (folder / "google.txt").write_text(text, encoding="utf-8")
    seconds = [
        timed([sys.executable, *command])
        for command in (
            [
                folder / "create_pretraining_data.py",
                f"--input_file={folder / 'google.txt'}",
                f"--output_file={folder / 'google.tfrecord'}",
                f"--vocab_file={data / 'vocab' / 'bert-base-uncased.vocab.txt'}",
                f"--dupe_factor={copies}",
            ],
            ["-c", "import tensorflow.compat.v1"],
        )
    ]
    megabytes = len(text.encode()) / 1e6
    return {
        "megabytes": round(megabytes, 2),
        "seconds": round(seconds[0], 2),
        "seconds_of_imports": round(seconds[1], 2),
        "megabytes_per_second": round(megabytes / seconds[0], 3),
        "without_imports": round(megabytes / (seconds[0] - seconds[1]), 3),
    }


def timed(command) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


def train_vocabularies(data, language, folder, megabytes: float, rounds: int) -> dict:
    """30,000 pieces by kbert and `tokenizers` from the same file, in turn; pieces a word."""
    text = folder / f"{language}.txt"
    documents = read_documents(data / CORPORA[language], HELD_OUT_MEGABYTES, megabytes)
    text.write_text("\n\n".join(documents), encoding="utf-8")
    learners = {"kbert": learn_kbert, "tokenizers": learn_tokenizers}
    return compare_learners(learners, data, language, text, SIZE, rounds)


def compare_tensorflow_text(data, folder, megabytes: float) -> dict:
    """As many pieces by kbert as tensorflow-text's learner finds, from the same text."""
    text = folder / "little.txt"
    documents = read_documents(data / CORPORA["English"], HELD_OUT_MEGABYTES, megabytes)
    text.write_text("\n\n".join(documents), encoding="utf-8")
    began = time.perf_counter()
    theirs = learn_tensorflow_text(text, 8000)
    seconds = time.perf_counter() - began
    learners = {"kbert": learn_kbert, "tensorflow-text": lambda *_: theirs}
    found = compare_learners(learners, data, "English", text, len(theirs), 1)
    rate = text.stat().st_size / 1e6 / seconds
    found["learners"]["tensorflow-text"] |= {
        "seconds": round(seconds, 2),
        "megabytes_per_second": round(rate, 4),
    }
    return found


def compare_learners(learners, data, language, text, size, rounds) -> dict:
    held_out = read_documents(data / CORPORA[language], 0, HELD_OUT_MEGABYTES)
    megabytes = text.stat().st_size / 1e6
    seconds, vocabularies = ({name: [] for name in learners} for _ in range(2))
    for _ in range(rounds):
        for name, learn in learners.items():
            began = time.perf_counter()
            vocabularies[name].append(learn(text, size))
            seconds[name].append(time.perf_counter() - began)
    return {
        "megabytes": round(megabytes, 1),
        "learners": {
            name: {
                "seconds": round(median(seconds[name]), 2),
                "megabytes_per_second": round(megabytes / median(seconds[name]), 2),
                "pieces": len(runs[0]),
                "ids_that_differ": max(ids_that_differ(runs[0], pieces) for pieces in runs),
                **pieces_a_word(runs[0], held_out),
            }
            for name, runs in vocabularies.items()
        },
    }


def ids_that_differ(first: list[str], second: list[str]) -> int:
    """How many ids are of another piece in two vocabularies of the same text."""
    return sum(a != b for a, b in itertools.zip_longest(first, second))


def learn_kbert(text, size) -> list[str]:
    from kbert import train_vocabulary

    return train_vocabulary([str(text)], size, progress=False)


def learn_tokenizers(text, size) -> list[str]:
    from tokenizers import BertWordPieceTokenizer

    tokenizer = BertWordPieceTokenizer(lowercase=True)
    # Its default, 1,000 characters, is too few for Chinese.
    tokenizer.train(
        [str(text)], vocab_size=size, min_frequency=2, limit_alphabet=10_000, show_progress=False
    )
    return sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)


def learn_tensorflow_text(text, size) -> list[str]:
    import tensorflow as tf
    from tensorflow_text.tools.wordpiece_vocab import bert_vocab_from_dataset

    return bert_vocab_from_dataset.bert_vocab_from_dataset(
        tf.data.TextLineDataset(str(text)).batch(1000),
        vocab_size=size,
        reserved_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
        bert_tokenizer_params={"lower_case": True},
    )


def pieces_a_word(pieces: list[str], documents: list[str]) -> dict:
    """By the `tokenizers` package; an unknown word counts as many pieces as it has characters."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    tokenizer = Tokenizer(models.WordPiece({p: i for i, p in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    words = found = unknown = 0
    for encoded in tokenizer.encode_batch(documents):
        words += len(set(encoded.word_ids))
        for token, (start, end) in zip(encoded.tokens, encoded.offsets, strict=True):
            found += end - start if token == "[UNK]" else 1
            unknown += token == "[UNK]"
    return {
        "pieces_a_word": round(found / words, 4),
        "unknown_words_percent": round(100 * unknown / words, 4),
    }


def draw_rows(store: pathlib.Path, sequence_length: int, tokens: int = 2_000_000) -> dict:
    """Rows drawn, masked and stacked by one thread."""
    from kbert.corpus.store import TokenStore
    from kbert.pretraining.rows import PretrainingRows

    rows = PretrainingRows(
        TokenStore(store), "train", sequence_length=sequence_length, batch_size=32, seed=0
    )
    batches = tokens // (32 * sequence_length)
    rows.batch(0)
    began = time.perf_counter()
    real = sum(int((rows.batch(i)[0]["padding_mask"] > 0).sum()) for i in range(batches))
    return {"tokens_per_second": round(real / (time.perf_counter() - began))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, default=os.environ.get("KBERT_DATA", "data"))
    parser.add_argument("--google", type=pathlib.Path, default=os.environ.get("KBERT_GOOGLE_BERT"))
    parser.add_argument("--megabytes", type=float, default=25, help="to learn vocabularies from")
    parser.add_argument("--rounds", type=int, default=3)
    parts = ("prepare", "rows", "google", "vocabulary", "tensorflow-text")
    parser.add_argument("--part", nargs="+", choices=parts, default=parts)
    args = parser.parse_args()
    if not (args.data / CORPORA["English"]).is_file():
        raise SystemExit(f"--data: expected {', '.join(CORPORA.values())} in {args.data}.")
    if args.google is None:
        print("without Google's script: give --google, a checkout of google-research/bert")
    results = {}

    def note(title, found):
        results[title] = found
        print(title, json.dumps(found), flush=True)

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for language in CORPORA:
            if "prepare" in args.part or "rows" in args.part:
                note(f"prepare, {language}", prepare_store(args.data, language, folder))
            if "vocabulary" in args.part:
                found = train_vocabularies(args.data, language, folder, args.megabytes, args.rounds)
                note(f"vocabulary, {language}", found)
        if "rows" in args.part:
            for length in (128, 512):
                note(f"rows of {length}", draw_rows(folder / "store-English-None", length))
        if "google" in args.part and args.google is not None:
            note("prepare, English, one process", prepare_store(args.data, "English", folder, 1))
            for copies in (1, 5):
                found = google_script(args.data, args.google, folder, copies)
                note(f"Google's script, copies: {copies}", found)
        if "tensorflow-text" in args.part:
            note("tensorflow-text's learner", compare_tensorflow_text(args.data, folder, 0.5))
    packages = ("tensorflow", "tensorflow-text", "tokenizers", "numpy")
    results = write_results("text", {"versions": versions(*packages)}, results)
    draw(results)


def draw(results: dict) -> None:
    """The rates of what is in the results."""
    bars = {}
    for title, found in results.items():
        if title.startswith("vocabulary"):
            bars[title] = {
                name: one["megabytes_per_second"] for name, one in found["learners"].items()
            }
        elif title.startswith("prepare") and "one process" not in title:
            bars.setdefault("prepare", {})["kbert, " + title.split(", ")[1]] = found[
                "megabytes_per_second"
            ]
        elif title.startswith("Google"):
            bars.setdefault("prepare", {})[title] = found["without_imports"]
    draw_bars("text", "Text", bars, "MB a second")


if __name__ == "__main__":
    main()
