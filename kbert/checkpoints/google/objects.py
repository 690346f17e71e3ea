"""Where the weights stand in an object-based checkpoint of tensorflow/models.

Such a file holds a graph of objects whose edges have names, and each array under one key, made of
whichever way to it was found first: the token table may be `masked_lm/embedding_table`. So a weight
is looked up by walking the graph, not by its key.
"""

from collections.abc import Iterator, Mapping, Sequence

from kbert.checkpoints.transfer import Place
from kbert.checkpoints.weight_names import all_names
from kbert.config import BertConfig

# Where the objects stand that the paths in weight_names.py begin with, the first that is there:
# named by `checkpoint_items`; or by a Keras model, saved as "model", inside another one that the
# older training loop made, or saved by itself. Last, all of it is an encoder.
_OBJECTS = {
    "encoder": (
        "encoder",
        "model/encoder_network",
        "model/encoder",
        "model/layer_with_weights-0/encoder",
        "encoder_network",
        "model",
        "",
    ),
    "masked_lm": ("masked_lm", "model/masked_lm", "model/layer_with_weights-0/masked_lm"),
    "next_sentence": (
        "model/classification_heads/0",
        "model/classification",
        "model/layer_with_weights-0/classification",
        "classification_heads/0",
        "classification",
    ),
}


class ObjectGraph:
    """Keys of arrays by the names of the objects that hold them.

    Args:
        edges: of each object, the number of the object that each name leads to; object 0 is the
            root.
        keys: of each object that is an array, its key in the file.
    """

    def __init__(self, edges: Sequence[Mapping[str, int]], keys: Mapping[int, str]):
        self._edges = edges
        self._keys = keys

    def key(self, path: str) -> str | None:
        """The key of the array at a path of weight_names.py, or None if there is no such array."""
        name, _, rest = path.partition("/")
        starts = (self._walk(0, place) for place in _OBJECTS.get(name, (name,)))
        start = next((start for start in starts if start is not None), None)
        return None if start is None else self._keys.get(self._walk(start, rest))

    def _walk(self, start, path):
        for name in filter(None, path.split("/")):
            start = self._edges[start].get(name)
            if start is None:
                return None
        return start


def object_places(graph: ObjectGraph, config: BertConfig) -> Iterator[Place]:
    """The place of every weight: the key of the first of its paths that is in the file, or that
    path where there is none."""
    for names in all_names(config):
        keys = filter(None, map(graph.key, names.google_tf2))
        yield Place(next(keys, names.google_tf2[0]), names.ours, names.third)


def known_keys(graph: ObjectGraph, config: BertConfig) -> set[str]:
    """The keys of what stands at any path, such as a pooler of the encoder's beside the head's."""
    paths = (path for names in all_names(config) for path in names.google_tf2)
    return set(filter(None, map(graph.key, paths)))
