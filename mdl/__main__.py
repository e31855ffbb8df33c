"""``python -m mdl``: the same as the command ``mdl``."""

import sys

from mdl.cli import main

sys.exit(main())
