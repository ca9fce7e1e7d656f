"""The commands of `driftsonde`, one file each, imported when they are called."""
