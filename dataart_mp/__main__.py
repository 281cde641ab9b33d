"""`python -m dataart_mp`: the same as `dataart-mp`, for when the script is not on the PATH."""

import sys

from dataart_mp.cli import main

if __name__ == "__main__":
    sys.exit(main())
