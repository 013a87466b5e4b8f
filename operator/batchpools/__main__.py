"""`python -m batchpools {operator,agent,crds,uninstall}`: picks the part; each is imported only when it is asked for."""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module

_PARTS = {
    "operator": "batchpools.app",
    "agent": "batchpools.agent.service",
    "uninstall": "batchpools.uninstall",
    "crds": "batchpools.crdgen.command",
}


def main() -> int:
    """Run the part that the first argument names; 2 when it names none."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in _PARTS:
        print(f"usage: batchpools {{{','.join(_PARTS)}}}", file=sys.stderr)
        return 2
    run: Callable[[Sequence[str]], int] = import_module(_PARTS[name]).main
    return run(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
