"""The command line: verbs in modules of their own, imported when they are used.

Results go to standard output, everything else to standard error. Exit codes: 0 ok, 1 failure, 2 usage, 124 timeout,
130 interrupt.
"""


def main() -> None:
    """The console script `actorfaas`."""
    from actorfaas.cli.root import root

    root(prog_name="actorfaas")
