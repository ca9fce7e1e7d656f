"""How soon a change is found, at which cost of false alarms: our rules beside those of others, on the same streams."""
