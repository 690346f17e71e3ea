"""Text for small encoders, as folders that `kbert prepare` reads (docs/experiments.md).

    KBERT_DATA=DATA python benchmarks/pretraining_text.py TEXT

Writes TEXT/en: extracts of English Wikipedia, 97 novels and the reviews that IMDb's classifiers are
trained on; TEXT/zh: extracts of Chinese Wikipedia, and the texts of training rows and trial files
(hotel, laptop and book reviews, questions to a bank, captions, dialogues, news, sentences of an
inference set). Labels are left out, and all rows that shipped.py measures on. The encoders that are
shipped have seen no reviews and none of these rows.
"""

import json
import lzma
import pathlib
import sys
from collections.abc import Iterable, Iterator

from downstream import DATA

GROUP = 50  # sentences that stand alone in their file, of a document


def reviews_en() -> Iterator[str]:
    with lzma.open(DATA / "imdb/train.jsonl.xz", "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)["text"].replace("<br />", "\n")


def reviews_zh() -> Iterator[str]:
    for row in rows_of("uer_chnsenticorp/train.tsv"):
        yield row.split("\t", 1)[1]


def questions() -> Iterator[str]:
    for row in rows_of("csts/AFQMC/train.txt", header=False):
        yield from row.split("\t")[:2]


def captions() -> Iterator[str]:
    for row in rows_of("csts/Chinese-STS-B/sts-b-train.txt", header=False):
        yield from row.split("\t")[:2]


def inferences() -> Iterator[str]:
    for row in rows_of("ocnli/train.10k.json", header=False):
        pair = json.loads(row)
        yield from (pair["sentence1"], pair["sentence2"])


def dialogues() -> Iterator[str]:
    for lines, _, _ in json.loads((DATA / "zh/uer_c3/dev.json").read_text(encoding="utf-8")):
        yield "\n".join(lines)


def news() -> Iterator[str]:
    """CLUENER's file is JSON objects one after another, each over several lines."""
    text, decoder = (DATA / "zh/cluener/train.json").read_text(encoding="utf-8"), json.JSONDecoder()
    place = 0
    while (place := text.find("{", place)) >= 0:
        entry, place = decoder.raw_decode(text, place)
        yield entry["text"]


def rows_of(name: str, header: bool = True) -> list[str]:
    lines = (DATA / "zh" / name).read_text(encoding="utf-8").splitlines()
    return lines[1:] if header else lines


def grouped(sentences: Iterable[str]) -> Iterator[str]:
    """Documents of sentences that have nothing to do with each other, each sentence once."""
    once = list(dict.fromkeys(filter(None, map(str.strip, sentences))))
    for first in range(0, len(once), GROUP):
        yield "\n".join(once[first : first + GROUP])


def write(path: pathlib.Path, documents: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for document in dict.fromkeys(documents):
            file.write(json.dumps({"text": document}, ensure_ascii=False) + "\n")


def main() -> None:
    text = pathlib.Path(sys.argv[1])
    write(text / "en/reviews.jsonl", reviews_en())
    for document in (DATA / "pretrain_en").rglob("*.xz"):
        (text / "en" / document.name).symlink_to(document.resolve())
    write(text / "zh/reviews.jsonl", reviews_zh())
    write(text / "zh/dialogues.jsonl", dialogues())
    for name, sentences in (
        ("questions", questions()),
        ("captions", captions()),
        ("inferences", inferences()),
        ("news", news()),
    ):
        write(text / f"zh/{name}.jsonl", grouped(sentences))
    wikipedia = DATA / "pretrain_zh/zhwiki.jsonl.xz"
    (text / "zh" / wikipedia.name).symlink_to(wikipedia.resolve())


if __name__ == "__main__":
    main()
