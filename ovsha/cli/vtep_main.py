"""Stand in for the vendor's vtep-bootstrap: `ovsha vtep-bootstrap` under another name, which asks nothing."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ovsha.cli import main as cli


def main(argv: Sequence[str] | None = None) -> int:
    """Be the vendor's command; return the exit status."""
    return cli.main(["vtep-bootstrap", "--yes", *(sys.argv[1:] if argv is None else argv)])


if __name__ == "__main__":
    sys.exit(main())
