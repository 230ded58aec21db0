"""`python -m actorfaas` is the command line."""

from actorfaas.cli import main

if __name__ == "__main__":
    main()
