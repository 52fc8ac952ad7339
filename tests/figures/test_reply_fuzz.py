from figures.reply_fuzz import fuzz


def test_damaged_replies_raise_nothing_but_a_fault() -> None:
    found = fuzz(2000, seed=7)
    assert not found.errors
    assert found.whole > 100
    assert found.failed > 100
