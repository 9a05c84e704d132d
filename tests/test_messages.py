"""Notes and bars: on stderr, or gathered for the page."""

import threading

from facenhance_jax import messages


def test_gathered_notes_go_into_the_list_of_their_own_thread_and_bars_are_hidden(capfd):
    def elsewhere():
        messages.note("from another thread")

    with messages.gathered() as notes:
        messages.note("gathered")
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        with messages.progress("working", 2) as bar:
            bar.update(2)
    messages.note("after")
    assert notes == ["gathered"]
    lines = capfd.readouterr().err.splitlines()
    assert lines == ["facenhance: note: from another thread", "facenhance: note: after"]
