"""The demo: a real incident on real data, through the same processes that production runs."""
