"""One call of an export: SavedModel, ONNX, ONNX in 8 bits; and what 8 bits cost in right answers.

    python benchmarks/exports.py                                    # base, random weights
    python benchmarks/exports.py --scores CHECKPOINT ROWS ...       # of fine-tuned checkpoints

The first compares calls of ids in, logits out, at several shapes, on as many threads as there are
cores, in turns, and writes benchmarks/results/exports.json. The second answers labelled rows with
each export, and prints the metrics of the task.
"""

import argparse
import functools
import pathlib
import tempfile

import numpy as np
from timing import interleave, summary, versions, write_results

SHAPES = ((1, 32), (1, 128), (32, 128))
FORMS = {
    "SavedModel": {"format": "saved-model"},
    "ONNX": {"format": "onnx"},
    "ONNX, int8": {"format": "onnx", "int8": True},
}


def export_all(checkpoint, folder: pathlib.Path) -> dict:
    """Each form's predictor, and the bytes of its folder."""
    from kbert import Predictor
    from kbert.serving.export_any import export
    from kbert.serving.settings import ExportSettings

    found = {}
    for number, (name, options) in enumerate(FORMS.items()):
        target = export(folder / str(number), checkpoint, ExportSettings(**options))
        size = sum(file.stat().st_size for file in target.rglob("*") if file.is_file())
        found[name] = Predictor(target), size
    return found


def random_checkpoint(size: str):
    """A classifier of two labels with random weights."""
    from kbert import BertConfig, Checkpoint, WordPieceTokenizer, build_encoder
    from kbert.tasks.classification import ClassificationTask
    from kbert.text.vocabulary import SPECIAL_TOKENS

    pieces = [*SPECIAL_TOKENS, *(f"piece{number}" for number in range(30522 - 5))]
    config = BertConfig.preset(size, len(pieces), activation="gelu_erf")
    task = ClassificationTask(labels=("0", "1"))
    model = task.build_model(build_encoder(config))
    return Checkpoint(model, WordPieceTokenizer(pieces), config, task)


def time_calls(size: str, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = export_all(random_checkpoint(size), pathlib.Path(folder))
        rng, results = np.random.default_rng(0), {}
        for batch, length in SHAPES:
            ids = rng.integers(5, 30000, (batch, length)).astype("int32")
            inputs = {
                "token_ids": ids,
                "segment_ids": np.zeros_like(ids),
                "padding_mask": np.ones_like(ids),
            }
            calls = {
                name: functools.partial(predictor.answerer.model.run, inputs)
                for name, (predictor, _) in found.items()
            }
            for call in calls.values():
                call()  # What is traced or allocated once.
            values = summary(interleave(calls, rounds), "SavedModel", batch)
            results[f"{batch} x {length}"] = values
            print(f"{batch} x {length}", values, flush=True)
        sizes = {name: f"{size / 1e6:.1f} MB" for name, (_, size) in found.items()}
    print(sizes)
    about = versions("kbert", "tensorflow", "onnx", "onnxruntime")
    write_results("exports", {"model": size, "versions": about, "sizes": sizes}, results)


def compare_scores(checkpoint_path: str, rows: str) -> None:
    from kbert.checkpoints.formats import load_finetuned
    from kbert.finetuning.evaluate import evaluate

    checkpoint = load_finetuned(checkpoint_path)
    with tempfile.TemporaryDirectory() as folder:
        for name, (predictor, size) in export_all(checkpoint, pathlib.Path(folder)).items():
            answerer = predictor.answerer
            exported = checkpoint._replace(model=answerer.model, tokenizer=answerer.tokenizer)
            found = evaluate(checkpoint.task, exported, rows)
            scores = {key: found[key] for key in checkpoint.task.metric_names if key in found}
            shown = ", ".join(f"{key} {100 * value:.2f}" for key, value in scores.items())
            print(f"{checkpoint_path} {name} ({size / 1e6:.1f} MB): {shown}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="base", help="a preset")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--scores", nargs="+", metavar="PATH", help="CHECKPOINT ROWS, in turns")
    args = parser.parse_args()
    if args.scores is None:
        time_calls(args.model, args.rounds)
        return
    for checkpoint, rows in zip(args.scores[::2], args.scores[1::2], strict=True):
        compare_scores(checkpoint, rows)


if __name__ == "__main__":
    main()
