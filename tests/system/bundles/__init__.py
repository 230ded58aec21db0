"""Applications that the system tests deploy to a real node."""
