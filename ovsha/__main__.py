"""Run the command line: `python3 -m ovsha`."""

import sys

from ovsha.cli.main import main

sys.exit(main())
