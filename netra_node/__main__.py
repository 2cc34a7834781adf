"""`python -m netra_node`: the same program as the `netra-node` script."""

import sys

from netra_node.cli import main

sys.exit(main())
