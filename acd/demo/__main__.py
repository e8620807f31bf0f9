"""`python -m acd.demo`: the same as `ims-acd demo`."""

import sys

from acd.demo import main

if __name__ == "__main__":
    sys.exit(main())
