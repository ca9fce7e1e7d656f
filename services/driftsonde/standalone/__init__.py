"""The embedded broker and store, and the demo."""
