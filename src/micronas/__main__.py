"""`python -m micronas`: the same as the command `micronas`."""

import sys

from micronas.cli import main

if __name__ == "__main__":
    sys.exit(main())
