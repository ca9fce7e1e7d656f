"""Other tools on the same rows, in environments of their own."""
