"""Fine-tuning on a task, evaluation, several runs."""
