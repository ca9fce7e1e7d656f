"""What people look at: the state of the fleet, read from the store."""
