"""What the messages to on-call say, channel by channel."""
