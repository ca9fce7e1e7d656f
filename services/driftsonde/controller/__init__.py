"""Turns signals into decisions and actions."""
