import os

os.environ.pop("COLUMNS", None)  # workers of pytest-xdist get one: tables would be as narrow as their terminal
