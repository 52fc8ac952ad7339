import tracemalloc

from evalsuite.endpoint.reply import PIECES, TextBuffer


def test_a_text_of_many_pieces_is_whole_and_hardly_weighs_more_than_itself() -> None:
    for count in (0, 1, PIECES, 3 * PIECES + 7):
        growing = TextBuffer()
        for number in range(count):
            growing.add(f"{number} ")
        assert growing.whole() == "".join(f"{number} " for number in range(count))
        assert growing.length == len(growing.whole())
    growing = TextBuffer()
    tracemalloc.start()
    for number in range(50_000):  # 200 KB, a token an event
        growing.add(f"{number % 1000:03} ")
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 400_000  # as a list of pieces: 3 MB
