"""`python -m dataart_mp.cli`: the same as `dataart-mp`, where scripts are not on the path."""

import sys

from dataart_mp.cli import main

sys.exit(main())
