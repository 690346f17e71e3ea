"""Milliseconds that a drawn token takes, behind texts of several lengths.

    python benchmarks/generation.py --peer-python torch-environment/bin/python

A left-to-right LM of base's size with random weights, float32, the likeliest piece each time,
beside Hugging Face's GPT-2 of that size, its keys and values kept too, in turns. A call that draws
33 tokens less one that draws 1, by 32: reading the text is not in it. Writes
benchmarks/results/generation.json.
"""

import argparse
import functools
import statistics

from side_by_side import Worker
from timing import has_transformers, interleave, versions, write_results

LENGTHS, TEXTS, MORE = (16, 128, 448), (1, 8), 32
PEER = "Hugging Face"


def kbert_calls():
    """A function of (texts, length, tokens) that draws tokens."""
    from kbert import BertConfig, Checkpoint, build_pretraining_model
    from kbert.inference.generation import Generator
    from kbert.inference.settings import GenerationSettings
    from kbert.text.python_tokenizer import PythonTokenizer
    from kbert.text.vocabulary import SPECIAL_TOKENS

    pieces = [*SPECIAL_TOKENS, *(f"piece{number}" for number in range(30522 - 5))]
    config = BertConfig.preset("base", len(pieces), direction="left", norm_placement="pre")
    model = build_pretraining_model(config, objective="left-to-right")
    checkpoint = Checkpoint(model, PythonTokenizer(pieces), config)

    generators = {
        tokens: Generator(checkpoint, GenerationSettings(tokens=tokens, top_k=1))
        for tokens in (1, 1 + MORE)
    }

    def call(texts: int, length: int, tokens: int) -> None:
        words = [f"piece{number}" for number in range(texts * (length - 1))]
        generators[tokens].pieces([" ".join(words[row::texts]) for row in range(texts)])

    return call


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer-python", help="of an environment with torch and transformers")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    contenders = {"kbert": kbert_calls()}
    about = versions("kbert", "tensorflow", "keras")
    if has_transformers(args.peer_python):
        worker = Worker(PEER, args.peer_python, "inference_workers/huggingface_generate.py", [])
        worker.ready()
        contenders[PEER] = lambda *numbers: worker.ask(" ".join(map(str, numbers)))
        about |= versions("torch", "transformers", python=args.peer_python)
    results = {}
    for texts in TEXTS:
        for length in LENGTHS:
            calls = {
                f"{name}, {tokens}": functools.partial(call, texts, length, tokens)
                for name, call in contenders.items()
                for tokens in (1, 1 + MORE)
            }
            seconds = {
                name: statistics.median(found)
                for name, found in interleave(calls, args.rounds).items()
            }
            results[f"{texts} x {length}"] = {
                name: round(
                    1000 * (seconds[f"{name}, {1 + MORE}"] - seconds[f"{name}, 1"]) / MORE, 2
                )
                for name in contenders
            }
            print(f"{texts} x {length}", results[f"{texts} x {length}"], "ms a token", flush=True)
    write_results("generation", {"versions": about}, results)


if __name__ == "__main__":
    main()
