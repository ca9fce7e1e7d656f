"""What producers and serving layers import."""
