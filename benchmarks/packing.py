"""Packed rows against rows with one example each: useful tokens a second of a pre-training step.

    python benchmarks/packing.py STORE --output packing.json

Both train the same model on the same store with batches of the same shape; a token is useful if it
is no padding. The steps are those of `kbert pretrain`, drawing of rows included, and take turns, so
that what else the machine does meets both alike. Medians of the rounds.
"""

import argparse
import os
import statistics
import time

from kbert.tensorflow_start import import_tensorflow_quietly

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
import_tensorflow_quietly()

import keras  # noqa: E402

from kbert.config import BertConfig  # noqa: E402
from kbert.corpus.store import TokenStore  # noqa: E402
from kbert.engine.devices import compile_whole_step, xla_clusters  # noqa: E402
from kbert.engine.optimizers import BertAdam  # noqa: E402
from kbert.engine.precision import set_precision  # noqa: E402
from kbert.engine.tensorflow import TrainingModel, as_dataset  # noqa: E402
from kbert.files import write_json  # noqa: E402
from kbert.models import build_pretraining_model  # noqa: E402
from kbert.pretraining.objectives.masked_lm_next_sentence import MaskedLMNextSentence  # noqa: E402
from kbert.pretraining.rows import PretrainingRows  # noqa: E402

WARM_UP = 2
DRAWN = 2_000_000  # positions


class Trainer:
    """A model of its own and the batches that it trains on."""

    def __init__(self, store, args, length, packing):
        self.rows = PretrainingRows(
            store,
            "train",
            sequence_length=length,
            batch_size=args.positions // length,
            seed=0,
            packing=packing,
        )
        config = BertConfig.preset(args.preset, len(store.vocabulary))
        self.model = TrainingModel(
            build_pretraining_model(config),
            MaskedLMNextSentence.sums,
            jit_step=compile_whole_step(),
        )
        self.model.compile(BertAdam(1e-4))
        self.model.make_train_function()
        self.batches = iter(as_dataset(self.rows.batch, 10**6))
        self.step = 0

    def train(self) -> float:
        """Useful tokens a second of one step."""
        started = time.perf_counter()
        float(self.model.train_function(self.batches)["loss"])
        seconds = time.perf_counter() - started
        self.step += 1
        return self.rows.num_tokens(self.step - 1) / seconds

    def fill(self) -> float:
        """The share of real positions in an epoch, or in the first rows of a long one."""
        batches = max(1, min(self.rows.rows_per_epoch, 20_000) // self.rows.batch_size)
        positions = batches * self.rows.batch_size * self.rows.sequence_length
        return sum(map(self.rows.num_tokens, range(batches))) / positions

    def draw(self) -> float:
        """Useful tokens a second of rows that are drawn and thrown away."""
        first, count = 10**6, DRAWN // (self.rows.batch_size * self.rows.sequence_length)
        started = time.perf_counter()
        for _ in as_dataset(self.rows.batch, count, first):
            pass
        seconds = time.perf_counter() - started
        return sum(map(self.rows.num_tokens, range(first, first + count))) / seconds


def compare(store, args, length) -> dict:
    trainers = {
        name: Trainer(store, args, length, packing)
        for name, packing in (("packed", True), ("unpacked", False))
    }
    for trainer in trainers.values():
        for _ in range(WARM_UP):
            trainer.train()
    rates = {name: [] for name in trainers}
    for number in range(args.rounds):
        for name in list(trainers)[:: 1 if number % 2 == 0 else -1]:
            rates[name].append(trainers[name].train())
    ratios = [one / other for one, other in zip(rates["packed"], rates["unpacked"], strict=True)]
    found = {
        name: {
            "fill": trainer.fill(),
            "useful_tokens_per_second": statistics.median(rates[name]),
            "drawn_tokens_per_second": trainer.draw(),
        }
        for name, trainer in trainers.items()
    }
    return {**found, "ratio": statistics.median(ratios)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", help="token store that kbert prepare wrote")
    parser.add_argument("--output", help="JSON file")
    parser.add_argument("--preset", default="mini")
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--lengths", type=int, nargs="+", default=[128, 512])
    parser.add_argument("--positions", type=int, default=8192, help="of a batch")
    parser.add_argument("--rounds", type=int, default=8)
    args = parser.parse_args()
    set_precision(args.precision)
    keras.utils.set_random_seed(0)
    store, results = TokenStore(args.store), {}
    for length in args.lengths:
        with xla_clusters():
            results[length] = compare(store, args, length)
        for name in ("packed", "unpacked"):
            found = results[length][name]
            print(
                f"{length:4} {name:8} {found['fill']:6.1%} real, "
                f"{found['useful_tokens_per_second']:8,.0f} useful tokens/s trained, "
                f"{found['drawn_tokens_per_second'] / 1e6:5.2f} M/s drawn"
            )
        print(f"{length:4} packed / unpacked: {results[length]['ratio']:.3f}", flush=True)
    if args.output:
        write_json(args.output, {**vars(args), "results": results})


if __name__ == "__main__":
    main()
