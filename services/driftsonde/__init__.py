"""Driftsonde: an event-driven monitor for machine-learning models in production."""
