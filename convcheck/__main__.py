"""``python -m convcheck``."""

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line; Ctrl-C is answered as ever while it is still being imported."""
    try:
        from convcheck.cli import main as run
    except KeyboardInterrupt:
        exec("")  # noqa: S102 - Python would end by the signal; see convcheck.cli.run
        sys.stderr.write("\nconvcheck: interrupted\n")
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
