"""Merges sketches into windows, computes statistics and publishes signals."""
