"""Devices, optimizers, the train step, pre-training and fine-tuning."""
