"""`python -m dataart_mp.cli`: the same as `dataart-mp`, for when the script is not on the PATH."""

import sys

from dataart_mp.cli import main

sys.exit(main())
