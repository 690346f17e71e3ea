"""keras-hub: `BertTextClassifier.predict` on the texts. Arguments: FOLDER."""

import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
from serving_requests import serve


def open_model(precision, length):
    import keras
    import keras_hub
    import numpy as np

    keras.config.set_dtype_policy({"bfloat16": "mixed_bfloat16"}.get(precision, precision))
    folder = sys.argv[1] + "/keras_hub"
    models = keras_hub.models
    classifier = models.BertTextClassifier(
        models.BertBackbone.from_preset(folder),
        num_classes=2,
        preprocessor=models.BertTextClassifierPreprocessor(
            models.BertTokenizer.from_preset(folder), sequence_length=length
        ),
        activation="softmax",
    )
    head = np.load(sys.argv[1] + "/head.npz")
    classifier.get_layer("logits").set_weights([head["kernel"], head["bias"]])
    return lambda texts: classifier.predict(texts, batch_size=32, verbose=0)[:, 1].tolist()


serve(open_model)
