"""``evalsuite plan``: what a budget can decide and what it costs, before a token is spent.

    facts      what card.yaml and model cards say of a benchmark: items, strata, typical lengths, assumed variances
    recorded   what an earlier baseline really did: scores, repeats, lengths
    chance     detectable difference, chance to pass, repeats that would reach a margin
    cost       tokens, hours, windows, disk
    hardware   which models fit side by side on a machine, else the serving order with launch commands
    command    all of it as tables and as JSON

Nothing is sent, downloaded or written, but the JSON that ``to=FILE`` asks for: its fields stand in ``docs/plan.md``.
"""
