"""Tagging of words, with the entities that the tags make (BERT paper, section 5.3: CoNLL NER).

    sequence_output -> dropout -> dense -> logits of each piece, one for each tag

or, of a frozen encoder, features -> two-layer BiLSTM -> dropout -> dense (paper, table 7).

The first piece of a word is its word's, the others count for nothing. Files: see
kbert/tasks/readers/conll_files.py.
"""

import collections
import dataclasses
import itertools
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from kbert.errors import DataError
from kbert.metrics import conll
from kbert.metrics.tagging import format_types, tagging_scores, tagging_tally
from kbert.metrics.tally import Tally
from kbert.settings import setting
from kbert.tasks.base import Part, Task
from kbert.tasks.features import Feature, single_segment
from kbert.tasks.heads import encoder_features, output_layer
from kbert.tasks.readers.bad_rows import BadRows, check_any_left, with_known_labels
from kbert.tasks.readers.conll_files import (
    DOCUMENT,
    Columns,
    Sentence,
    from_text,
    from_words,
    has_plain_tags,
    read_sentences,
)
from kbert.tasks.readers.labels import check_tag_column
from kbert.tasks.tag_schemes import (
    OUTSIDE,
    BadTag,
    are_plain,
    as_phrases,
    bio_tags,
    entities,
    valid_transitions,
)
from kbert.tasks.tag_sequences import best_sequences
from kbert.tasks.texts import parse_texts
from kbert.tasks.windows.cutting import maximal_context, plan_windows
from kbert.tasks.windows.sentence_context import (
    TaggedExample,
    all_words,
    context,
    with_documents,
    word_pieces,
)

# Title of their options.
COLUMNS = "columns of a file with a word a line: numbers from 0, or from -1 for the last"


class WindowWords(NamedTuple):
    """Which words are scored in a window: their numbers in the sentence, and the tokens."""

    numbers: np.ndarray
    tokens: np.ndarray


@dataclasses.dataclass(frozen=True)
class TaggingTask(Task):
    """A tag for every word: named entities, for example, or parts of speech.

    Args:
        labels: the types of entities, found in the training file by `prepare`; plain tags.
        plain: whether tags are those of words alone, without entities; found by `prepare`.
        characters: whether every character of a text is a word; found by `prepare`: it is so where
            every word of the training file is one character.
        dropout: rate before the output layer.
        sequence_length: tokens a window, [CLS] and [SEP] among them.
        word_column, tag_column: numbers of columns, from 0; negative ones from the end.
        document_context: fill the window with the neighbouring sentences of the document.
        valid_tags: answer only sequences that BIO allows.
        crf: score neighbouring tags too (kbert/layers/crf.py).
        label_smoothing: share of the right tag that the loss gives to all tags; without a CRF.
        features: freeze the encoder, and put a two-layer BiLSTM on these of its hidden layers
            (kbert/tasks/heads/encoder_features.py).
        lstm_size: width of each direction of a BiLSTM on the encoder; None for none, or with
            `features` for the encoder's width.
    """

    name = "tagging"
    metric_names = ("f1", "precision", "recall", "accuracy")
    output_settings = ("labels", "plain")
    token_targets = frozenset(["tags"])
    token_outputs = True
    reading_options = ("word_column", "tag_column", "valid_tags")

    labels: tuple[str, ...] = ()
    plain: bool = False
    characters: bool = False
    dropout: float = output_layer.dropout_setting()
    sequence_length: int = setting(
        128, "tokens a window; longer sentences become several windows, no word is lost", at_least=4
    )
    word_column: int = setting(Columns().word, "of the word", group=COLUMNS)
    tag_column: int = setting(Columns().tag, "of its tag", group=COLUMNS)
    document_context: bool = setting(
        False,
        "fill the window with the sentences before and behind; -DOCSTART- lines divide documents, "
        "without them a file is one",
    )
    valid_tags: bool = setting(
        False, "the best sequence of tags in which no I- lacks its beginning"
    )
    crf: bool = setting(False, "learn which tags follow each other, too")
    label_smoothing: float = output_layer.label_smoothing_setting()
    features: str | None = encoder_features.features_setting()
    lstm_size: int | None = encoder_features.lstm_size_setting(
        "width of each direction of a BiLSTM on the words' pieces",
        "none; with --features the encoder's width",
    )

    def __post_init__(self):
        super().__post_init__()
        if self.crf and self.label_smoothing:
            raise DataError("The loss of a CRF has no label smoothing: expected one of both.")
        if self.plain and self.valid_tags:
            raise DataError(
                "valid_tags is for tags like B-PER and I-PER. Received: tags of words alone."
            )

    @property
    def tags(self) -> tuple[str, ...]:
        """What the model's outputs stand for, in order."""
        return self.labels if self.plain else bio_tags(self.labels)

    # Data.

    def read_examples(
        self, path: str | pathlib.Path, labelled: bool = True, bad: BadRows | None = None
    ) -> list[TaggedExample]:
        bad = BadRows() if bad is None else bad
        columns = Columns(self.word_column, self.tag_column)
        plain = self.plain
        if labelled and not self.labels:
            plain = has_plain_tags(path, columns)
        sentences = list(read_sentences(path, columns, labelled, bad, plain))
        spaces = not self.characters
        examples = [TaggedExample(sentence, spaces=spaces) for sentence in sentences]
        if self.document_context:
            examples = with_documents(sentences, spaces)
        if labelled and self.labels:
            names = _plain_tags_of if self.plain else _types_of
            examples = with_known_labels(examples, self.labels, names, bad)
        check_any_left(examples, bad, path)
        return examples

    def begins_rows(self, line: str) -> bool:
        """A document's mark, a table's header, or a word with a tag that the model knows."""
        cells = line.split("\t") if "\t" in line else line.split()
        if line.startswith(DOCUMENT) or {"text_a", "label"} <= set(cells):
            return True
        if not -len(cells) <= self.tag_column < len(cells) or len(cells) < 2:
            return False
        tag = cells[self.tag_column]
        # Whatever the scheme: S-PER is no tag of BIO, but PER is known.
        return tag == OUTSIDE or tag in self.labels or tag.partition("-")[2] in self.labels

    def parse(self, instance: str | Mapping, where: str) -> TaggedExample:
        """A line is a text; an object has "text", or "tokens" where the words are known."""
        if isinstance(instance, Mapping) and set(instance) == {"tokens"}:
            sentence = from_words(instance["tokens"], None, where)
            return TaggedExample(sentence, spaces=not self.characters)
        text = parse_texts(instance, self.instance_fields, where)["text"]
        return TaggedExample(from_text(text, self.characters, where))

    def prepare(self, examples: Sequence[TaggedExample], where: str) -> "TaggingTask":
        counts = collections.Counter(tag for e in examples for tag in e.sentence.tags)
        plain = are_plain(counts)
        if plain:
            check_tag_column(counts, where, self.tag_column)
            labels = set(counts)
        else:
            try:
                labels = set(itertools.chain.from_iterable(map(_types_of, examples)))
            except BadTag as error:  # Files of both kinds, each sound by itself.
                raise DataError(f"{where}: {error}") from error
        if not labels:
            raise DataError(f"{where}: expected entities. All tags are O.")
        if "" in labels and len(labels) > 1:
            raise DataError(
                f"{where}: expected a type in all tags, as in B-{max(labels)}, or in none. "
                "Received both."
            )
        characters = all(len(word) == 1 for e in examples for word in e.sentence.words)
        return dataclasses.replace(
            self, labels=tuple(sorted(labels)), plain=plain, characters=characters
        )

    def encode(self, examples: Sequence[TaggedExample], tokenizer) -> list[Feature]:
        pieces = word_pieces(tokenizer, all_words(examples))
        return [
            feature
            for number, example in enumerate(examples)
            for feature in self.windows(number, example, pieces, tokenizer)
        ]

    def windows(
        self, number: int, example: TaggedExample, pieces: Mapping, tokenizer
    ) -> Iterable[Feature]:
        """The windows of an example in which words are scored: one, or more if it is long."""
        size = self.sequence_length - 2  # beside [CLS] and [SEP]
        before, own, behind = context(example, pieces, size)
        ids = [*before, *itertools.chain.from_iterable(own), *behind]
        lengths = np.array([len(word) for word in own], int)
        places = len(before) + np.cumsum(lengths) - lengths  # of each word's first piece
        windows = plan_windows(len(before), len(before) + int(lengths.sum()), len(ids), size)
        chosen = maximal_context(windows)[places]
        for window, (start, end) in enumerate(windows):
            words = np.flatnonzero(chosen == window)
            if words.size:  # Else the window holds nothing but pieces behind a word's first.
                row = [tokenizer.cls_id, *ids[start:end], tokenizer.sep_id]
                scored = WindowWords(words, places[words] - start + 1)
                targets, weights = self.target(example.sentence, scored, len(row))
                yield Feature(single_segment(row), number, targets, weights, context=scored)

    def target(self, sentence: Sentence, scored: WindowWords, length: int) -> tuple[dict, dict]:
        """The tags' numbers at the first piece of each word, and where they stand: (sequence,)."""
        if sentence.tags is None:
            return {}, {}
        tags, weights = np.zeros(length, "int32"), np.zeros(length, "float32")
        names = self.tags
        tags[scored.tokens] = [names.index(sentence.tags[word]) for word in scored.numbers]
        weights[scored.tokens] = 1
        return {"tags": tags}, {"tags": weights}

    # Model.

    @property
    def links(self) -> Mapping[str, str]:
        # Of a path through the tags there is no mean.
        return {} if self.crf else {"logits": "softmax"}

    def build_model(self, encoder):
        """Adds "logits" (batch, sequence, tags), with a CRF "transitions", both float32."""
        import keras

        from kbert.layers.crf import Transitions

        vectors = encoder_features.token_vectors(encoder, self.features)
        if self._has_lstm():
            vectors = encoder_features.with_lstm(encoder, vectors, self.lstm_size)
        logits = output_layer.classifier(vectors, len(self.tags), self.dropout)
        outputs = {"logits": logits}
        if self.crf:
            outputs["transitions"] = Transitions(name="crf")(logits)
        return keras.Model(encoder.input, outputs, name=self.name)

    def packed(self, model, encoder):
        """The model as it is, but a CRF and an LSTM would read on into the next text."""
        from kbert.models import is_transformer

        alone = self.crf or self._has_lstm() or not is_transformer(encoder)
        return None if alone else model

    def _has_lstm(self):
        return self.features is not None or self.lstm_size is not None

    def objective(self, outputs: Mapping, targets: Mapping, weights: Mapping) -> dict:
        """The mean over the batch's words; a CRF's is of their joint probability."""
        from keras import ops

        from kbert.layers.crf import log_likelihood
        from kbert.layers.losses import weighted_cross_entropy

        logits = ops.cast(outputs["logits"], "float32")  # (batch, sequence, tags)
        tags, weight = targets["tags"], weights["tags"]  # (batch, sequence)
        loss, accuracy = weighted_cross_entropy(logits, tags, weight, self.label_smoothing)
        if self.crf:
            # All words weigh the same, so one weight stands for those of a row.
            likelihood = log_likelihood(logits, outputs["transitions"][0], tags, weight > 0)
            loss = -ops.sum(ops.max(weight, axis=-1) * likelihood)
        return {"loss": loss, "accuracy": accuracy}

    def taught(self, feature: Feature, said: Part) -> tuple[dict, np.ndarray]:
        """At the first piece of each word what the other model says of the word."""
        scored: WindowWords = feature.context
        logits = np.zeros((feature.length, len(self.tags)))
        weight = np.zeros(feature.length, "float32")
        logits[scored.tokens] = self._emissions(*said)[scored.numbers]
        weight[scored.tokens] = 1
        return {"logits": logits}, weight

    # Answers.

    def decode(
        self,
        outputs: Sequence[Mapping[str, np.ndarray]],
        example: TaggedExample,
        features: Sequence[Feature] = (),
    ) -> dict:
        """The words' tags, and the entities in the text.

        Returns {"tokens": the words, "tags": one for each, "entities": [{"text", "type", "start",
        "end", "score"}]}: `text[start:end]` of the text that was asked about; of words that came
        without a text, of those words joined (`kbert.text.joining.join_words`). An entity's score
        is the probability of its least certain tag.
        """
        return self.decode_all([(outputs, example, features)])[0]

    def decode_all(self, parts: Sequence[Part]) -> list[dict]:
        """`decode` of many examples: the best sequences of many sentences are found together."""
        answers = [{"tokens": [], "tags": [], "entities": []} for _ in parts]
        there = [number for number, (_, found, _) in enumerate(parts) if found.sentence.words]
        emissions = [self._emissions(*parts[number]) for number in there]
        outputs = parts[there[0]][0][0] if there else {}
        for number, (best, scores) in zip(there, self._best_tags(emissions, outputs), strict=True):
            example, tags = parts[number][1], [self.tags[tag] for tag in best]
            answers[number] |= {"tokens": list(example.sentence.words), "tags": tags}
            if not self.plain:
                answers[number]["entities"] = _entities(example, tags, scores)
        return answers

    def _emissions(self, outputs, example, features) -> np.ndarray:
        """The scores of a sentence's words, (words, tags), from those of its windows."""
        emissions = np.zeros((len(example.sentence.words), len(self.tags)))
        for output, feature in zip(outputs, features, strict=True):
            scored: WindowWords = feature.context
            emissions[scored.numbers] = output["logits"][scored.tokens]
        return emissions

    def _best_tags(
        self, emissions: Sequence[np.ndarray], outputs: Mapping
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """The best tags of each sentence's words and their probabilities, (words,) each.

        `outputs` are the model's for any text: a CRF's transitions are the same for all.
        """
        if not (self.crf or self.valid_tags):
            # No tag depends on its neighbours.
            from scipy.special import softmax

            return [(own.argmax(axis=1), softmax(own, axis=1).max(axis=1)) for own in emissions]
        transitions = np.zeros((len(self.tags) + 2, len(self.tags)))
        if self.crf and emissions:
            transitions += outputs["transitions"]
        if self.valid_tags:
            transitions += valid_transitions(self.tags)
        return best_sequences(emissions, transitions)

    def trivial_score(self, examples: Sequence[TaggedExample]) -> float:
        """F1 of the one plain tag that is best for every word; of entities 0, none is found."""
        said = ([{"tags": [tag] * len(e.sentence.tags)} for e in examples] for tag in self.labels)
        return max(self.metrics(own, examples)["f1"] for own in said) if self.plain else 0.0

    def metrics(self, answers: Sequence[Mapping], examples: Sequence[TaggedExample]) -> dict:
        """Of plain tags every word is a phrase of its own: F1 is the accuracy where none is O."""
        return tagging_scores(self._scored_tags(answers, examples))

    def tally(
        self, metric: str, answers: Sequence[Mapping], examples: Sequence[TaggedExample]
    ) -> Tally | None:
        return tagging_tally(metric, self._scored_tags(answers, examples))

    def _scored_tags(
        self, answers: Sequence[Mapping], examples: Sequence[TaggedExample]
    ) -> Iterable[conll.Sentence]:
        gold = [example.sentence.tags for example in examples]
        predicted = [answer["tags"] for answer in answers]
        if self.plain:
            gold, predicted = map(as_phrases, gold), map(as_phrases, predicted)
        return map(conll.Sentence, gold, predicted)

    def report(self, metrics: Mapping) -> str:
        return f"{super().report(metrics)}\n\n{format_types(metrics)}"


def _plain_tags_of(example: TaggedExample) -> list[str]:
    return sorted(set(example.sentence.tags))


def _types_of(example: TaggedExample) -> list[str]:
    """The types of the entities in a sentence."""
    return sorted({entity.type for entity in entities(example.sentence.tags)})


def _entities(example: TaggedExample, tags: Sequence[str], scores: np.ndarray) -> list[dict]:
    text, spans = example.text_and_spans()
    return [
        {
            "text": text[spans[first][0] : spans[end - 1][1]],
            "type": name,
            "start": spans[first][0],
            "end": spans[end - 1][1],
            "score": float(scores[first:end].min()),
        }
        for first, end, name in entities(tags)
    ]
