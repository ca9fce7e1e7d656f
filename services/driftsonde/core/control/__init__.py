"""What the controller decides: incidents, policy, traffic, and the state machine over them."""
