"""`python -m skmxne`, the same as the command `skmxne`."""

import sys

from .cli.command_line import main

if __name__ == "__main__":
    sys.exit(main())
