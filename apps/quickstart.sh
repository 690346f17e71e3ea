#!/usr/bin/env bash
# From text to an answer, on the samples that come with kbert: every step is a command that you can
# run on your own files. `make quickstart` runs this; the argument is the folder to write.
set -euo pipefail
out=${1:?usage: quickstart.sh FOLDER}

step() {
  printf '\n\033[1m$ %s\033[0m\n' "$*"
  "$@"
}

mkdir -p "$out"
step kbert vocabulary samples/text --output "$out/vocab.txt" --size 4000
step kbert prepare samples/text --vocabulary "$out/vocab.txt" --output "$out/store" \
  --validation-share 0.05
step kbert pretrain "$out/store" --output "$out/pretrained" --preset tiny --num-steps 200 \
  --batch-size 32 --sequence-length 32 --learning-rate 5e-4 \
  --validate-every 100 --validation-batches 4 --save-every 200

# The sample text is far too little to learn a language from. The rest begins with the small encoders
# that come with kbert, pre-trained by the same commands on a hundred megabytes each.
english=saved_models/kbert-mini-en/checkpoint
chinese=saved_models/kbert-mini-zh/checkpoint
step kbert fill-mask "$english" "He was born in London in the [MASK] century." --top 3
step kbert fill-mask "$chinese" "今天天气很[MASK]，我们去公园散步。" --top 3
step kbert finetune classification --from "$english" --output "$out/topics" \
  --train samples/classification/en_train.tsv --validation-share 0 --epochs 8 --batch-size 8
step kbert evaluate "$out/topics" samples/classification/en_test.tsv
step kbert finetune classification --from "$chinese" --output "$out/topics-zh" \
  --train samples/classification/zh_train.tsv --validation-share 0 --epochs 8 --batch-size 8
step kbert evaluate "$out/topics-zh" samples/classification/zh_test.tsv
step kbert export "$out/topics" --output "$out/saved_models/topics"
printf '%s\n' "Stir the soup and add salt." "Dark clouds brought rain all night." \
  "She plays the violin in an orchestra." | step kbert predict "$out/saved_models/topics"

cat <<END

Made in $out: vocab.txt, a token store, a pre-trained encoder (pretrained), two classifiers (topics,
topics-zh) and a SavedModel that takes raw text (saved_models/topics/1). Next, try:

  kbert serve $out/saved_models/topics
  kbert predict $out/topics-zh samples/classification/zh_test.tsv
  tensorboard --logdir $out

(first: source .venv/bin/activate)
END
