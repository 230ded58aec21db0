"""First code of a template or cold worker: makes the platform importable under a bundle's own interpreter.

Run as a file, `python -P bootstrap.py FOLDERS template|cold ARGUMENTS`, because that interpreter need not have the
platform installed. FOLDERS (joined as in PATH) go to the end of `sys.path`, so a bundle's own packages win; the
platform itself always comes from here, even if the bundle's environment holds another version of it.
"""

import os
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec


def main() -> None:
    """Import the platform, then the module that was asked for, and run it."""
    folders, role = sys.argv[1].split(os.pathsep), sys.argv[2]
    del sys.argv[1:3]
    sys.path.extend(folder for folder in folders if folder not in sys.path)
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    spec = PathFinder.find_spec("actorfaas", [root])
    if spec is None or spec.loader is None:
        raise SystemExit(f"the platform is not in {root}")
    package = sys.modules["actorfaas"] = module_from_spec(spec)
    spec.loader.exec_module(package)
    if role == "template":
        from actorfaas.worker.template import main as run
    else:
        from actorfaas.worker.cold import main as run
    run()


if __name__ == "__main__":
    main()
