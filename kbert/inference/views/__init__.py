"""What can be shown of a model besides its answers: tokens, words behind masks, attention, vectors,
contributions of words.

Each view stands in the place of a task: it parses instances, encodes texts, and decodes what is
computed for them. So it shares the batches, limits and errors of answers.
"""
