"""Folds raw events into chunk sketches."""
