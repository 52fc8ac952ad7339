import os

from hypothesis import HealthCheck, settings

os.environ.pop("COLUMNS", None)  # workers of pytest-xdist get one: tables would be as narrow as their terminal
# No property depends on how fast the machine is: neither one example's time nor that of drawing the inputs.
settings.register_profile("any_machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("repeatable", settings.get_profile("any_machine"), derandomize=True)
settings.load_profile("any_machine")
