"""Twenty questions that a tiny model can learn by heart, and a checkpoint to start from."""

import json

import keras

from kbert import BertConfig, Checkpoint, WordPieceTokenizer, build_encoder, save

PEOPLE = "Mara Jonas Lea Timo Ines".split()
TOWNS = "Kiel Bergen Turku Riga Gent".split()
THINGS = "boat piano garden kite bakery".split()
FILLER = "where the wind comes from the sea and the rain seldom ends before the evening"


def articles(copy=0):
    """Five texts with four questions each, one of which none of the text answers."""
    paragraphs = []
    for number, (person, town, thing) in enumerate(zip(PEOPLE, TOWNS, THINGS, strict=True)):
        context = (
            f"{person} has a {thing} in {town}, {FILLER}. She sold it to {PEOPLE[number - 1]}!"
        )
        asked = [
            ("where", f"Where is the {thing}?", town, context.find(town)),
            ("what", f"What has {person}?", f"a {thing}", context.find(f"a {thing}")),
            (
                "who",
                f"Who has the {thing} now?",
                PEOPLE[number - 1],
                context.rfind(PEOPLE[number - 1]),
            ),
            ("why", f"Why did {person} cry?", None, None),
        ]
        paragraphs.append(
            {"context": context, "qas": [row(f"{copy}{number}", *part) for part in asked]}
        )
    return [{"title": "things", "paragraphs": paragraphs}]


def row(number, kind, question, text, start):
    answers = [] if text is None else [{"text": text, "answer_start": start}]
    return {
        "id": f"{kind}-{number}",
        "question": question,
        "answers": answers,
        "is_impossible": text is None,
    }


def write_questions(path, answerable=False, copies=1):
    """SQuAD 2.0's JSON, or 1.1's with only the answerable questions; `copies` repeats them all."""
    data = [article for copy in range(copies) for article in articles(copy)]
    if answerable:
        for paragraph in data[0]["paragraphs"]:
            kept = [question for question in paragraph["qas"] if question["answers"]]
            paragraph["qas"] = [
                {name: question[name] for name in ("id", "question", "answers")}
                for question in kept
            ]
    path.write_text(json.dumps({"version": "small", "data": data}), encoding="utf-8")
    return path


def write_reader(path):
    """An encoder without dropout that knows every word of the questions."""
    texts = json.dumps(articles()).lower()
    words = {"".join(filter(str.isalpha, word)) for word in texts.replace('"', " ").split()}
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *",.!?", *sorted(words - {""})]
    config = BertConfig(
        len(vocabulary),
        num_layers=2,
        num_heads=2,
        hidden_dim=32,
        intermediate_dim=64,
        max_sequence_length=32,
        dropout=0.0,
        attention_dropout=0.0,
    )
    keras.utils.set_random_seed(2)
    save(path, Checkpoint(build_encoder(config), WordPieceTokenizer(vocabulary), config))
    return path
