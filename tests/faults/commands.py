"""The commands that write something, what they read, and what of their output must be the same."""

import dataclasses
import fnmatch
import hashlib
import pathlib
import random
from collections.abc import Mapping

from tests.laboratory.small_recipe import RECIPE, write_recipe
from tests.small_store import random_documents, vocabulary_of, write_store
from tests.tiny_checkpoint import WORDS, finetune_with, write_checkpoint, write_rows


@dataclasses.dataclass(frozen=True)
class Command:
    """What is killed.

    Attributes:
        arguments: of kbert, with {inputs} and {output}.
        kept: patterns of the files, relative to the output, that must be the same; what else it
            holds says when it ran, or how long.
    """

    arguments: str
    kept: tuple[str, ...] = ("*",)

    def line(self, inputs: pathlib.Path, output: pathlib.Path) -> list[str]:
        """The arguments with their folders."""
        return self.arguments.format(inputs=inputs, output=output).split()


_TINY = "--batch-size 8 --validation-share 0 --sequence-length 16 --dropout 0.1"
_MODEL = ("*.safetensors", "config.json", "task.json", "vocab.txt")
COMMANDS = {
    "vocabulary": Command("vocabulary {inputs}/text.txt --size 60 --quiet --output {output}"),
    "prepare": Command(
        "prepare {inputs}/text.txt --vocabulary {inputs}/start/vocab.txt --output {output}"
    ),
    "pretrain": Command(
        "pretrain {inputs}/store --preset tiny --num-steps 12 --batch-size 4 --sequence-length 16 "
        "--save-every 3 --validate-every 6 --validation-batches 1 --output {output}",
        _MODEL,
    ),
    "distill": Command(
        "pretrain {inputs}/store --objective masked-lm --preset tiny --num-steps 12 --batch-size 4 "
        "--sequence-length 16 --save-every 3 --validate-every 6 --validation-batches 1 "
        "--teacher {inputs}/teacher --hidden-share 1 --output {output}",
        _MODEL,
    ),
    "finetune": Command(
        "finetune classification --from {inputs}/start --train {inputs}/train.tsv --epochs 3 "
        f"--save-every 2 {_TINY} --output {{output}}",
        _MODEL,
    ),
    "sweep": Command(
        "sweep classification --from {inputs}/start --train {inputs}/train.tsv --validation "
        "{inputs}/train.tsv --epochs 1 --batch-size 8 16 --learning-rate 1e-3 --sequence-length "
        "16 --output {output}",
        _MODEL,
    ),
    "export": Command(
        "export {inputs}/tuned --output {output} --version 1", ("*/variables/*", "*/assets/*.txt")
    ),
    "export-onnx": Command("export {inputs}/tuned --output {output} --version 1 --format onnx"),
    # One name for every output: it is the title of the card.
    "convert": Command("convert {inputs}/start --to huggingface --output {output}/model"),
    "ablate": Command("ablate {inputs}/recipe/recipe.toml --output {output}", ("report.json",)),
    "embed": Command("embed {inputs}/start {inputs}/few.txt --output {output}"),
    "predict": Command("predict {inputs}/tuned {inputs}/unlabelled.tsv --output {output}"),
}


def write_inputs(folder: pathlib.Path) -> None:
    """All that the commands read."""
    folder.mkdir(exist_ok=True)
    write_checkpoint(folder / "start")
    write_rows(folder / "train.tsv", 40, seed=1)
    rows = (folder / "train.tsv").read_text().splitlines()
    texts = [row.split("\t")[0] for row in rows[1:]]
    (folder / "unlabelled.tsv").write_text("\n".join(["text", *texts * 20]) + "\n")
    generator = random.Random(0)
    lines = [" ".join(generator.choices(WORDS, k=12)) + "." for _ in range(2000)]
    (folder / "text.txt").write_text("\n\n".join(lines) + "\n")
    (folder / "few.txt").write_text("\n".join(lines[:200]) + "\n")
    documents = (random_documents(count, 60, seed=seed) for seed, count in enumerate((40, 10)))
    write_store(folder / "store", *documents, vocabulary_of(60))
    _write_teacher(folder / "teacher")
    (folder / "recipe").mkdir(exist_ok=True)
    write_recipe(folder / "recipe", folder / "store", RECIPE.replace("seeds = 2", "seeds = [3]"))
    from kbert.tasks.classification import ClassificationTask

    task = ClassificationTask(sequence_length=16)
    options = {"epochs": 3, "batch_size": 8, "validation_share": 0, "verbose": 0}
    finetune_with(task, folder / "start", folder / "train.tsv", folder / "tuned", **options)


def _write_teacher(folder):
    """A pre-trained model half as wide as the preset tiny, with the store's vocabulary."""
    from kbert import BertConfig, Checkpoint, WordPieceTokenizer, build_pretraining_model, save

    sizes = {"num_layers": 1, "num_heads": 2, "hidden_dim": 64, "intermediate_dim": 64}
    config = BertConfig(len(vocabulary_of(60)), max_sequence_length=16, **sizes)
    model = build_pretraining_model(config, objective="masked-lm")
    save(folder, Checkpoint(model, WordPieceTokenizer(vocabulary_of(60)), config))


def digests(command: Command, output: pathlib.Path) -> Mapping[str, str]:
    """Of the files that must be the same."""
    if output.is_file():
        return {"": _digest(output)}
    names = {str(path.relative_to(output)): path for path in output.rglob("*") if path.is_file()}
    return {
        name: _digest(path)
        for name, path in names.items()
        if any(fnmatch.fnmatch(name, pattern) for pattern in command.kept)
    }


def _digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()
