"""What was observed, as spans; and what follows from it: who calls whom, where the time goes, what would help. Pure.

Spans are not stored: they are derived from records of calls and from histories of executions when they are asked for.
"""
