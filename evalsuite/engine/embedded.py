"""The embedded models of a run: their servers are started where a configuration asks for them."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace

from evalsuite.config.aa import first_arm
from evalsuite.config.settings import DEMO, Model


def serve_demo(models: Mapping[str, Model], stack: ExitStack) -> dict[str, Model]:
    """The models (key -> settings) with real base URLs: a server is started for every model whose ``base_url`` is
    ``demo``, of the precision that its key names (``demo_fp8``); a model and its second arm (``aa``) share one.

    Models with another base URL stay as they are. The servers end when ``stack`` is closed. Raises ``BadInput`` for a
    key that names no demo model, ``EndpointUnusable`` where a server does not start.
    """
    names = dict.fromkeys(first_arm(name) for name, model in models.items() if model.base_url == DEMO)
    if not names:
        return dict(models)
    from evalsuite.demo.process import serving  # NumPy and the model: only for embedded models

    urls = stack.enter_context(serving(list(names)))
    return {
        name: replace(model, base_url=urls[first_arm(name)]) if model.base_url == DEMO else model
        for name, model in models.items()
    }
