"""Pure core: no input or output, no clock, no logging, no randomness."""
