"""``python -m evalsuite`` is ``evalsuite``."""

from evalsuite.cli.main import main

if __name__ == "__main__":
    main()
