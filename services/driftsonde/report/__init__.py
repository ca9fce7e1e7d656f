"""The page that a person reads: result files of a replay or a demo, as one self-contained HTML file."""
