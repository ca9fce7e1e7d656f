"""Writes raw events to the store."""
