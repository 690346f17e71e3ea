"""Text and token ids: vocabulary, tokenizer, segments."""
