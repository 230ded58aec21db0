"""The actors of a node: one actor, one file; thin shells around the pure core."""
