"""The command line of the generated world: `python -m flows.demo.world make|serve`."""

import sys

from flows.demo.world.world import main

sys.exit(main())
