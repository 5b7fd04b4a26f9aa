import io
import os
import threading

import pytest

from stages.screen.messages import read_answer, receive_images, send_answer, send_images


@pytest.mark.parametrize("bodies", [[b"one"], [b"one", b"", b"three"], [b"a" * 300_000, b"b", b"c" * 200_000]])
def test_images_sent_together_arrive_whole_and_in_order(bodies: list[bytes]) -> None:
    reading, writing = os.pipe()

    def send() -> None:
        send_images(writing, bodies)
        send_images(writing, bodies[:1])
        os.close(writing)

    sender = threading.Thread(target=send)
    sender.start()
    with os.fdopen(reading, "rb") as source:
        found = list(receive_images(source))
    sender.join()
    n_following = list(range(len(bodies)))[::-1]
    assert found == [*zip(bodies, n_following, strict=True), (bodies[0], 0)]


def test_an_answer_arrives_whole_and_a_cut_one_is_an_end() -> None:
    stream = io.BytesIO()
    send_answer(stream, [{"width_px": 1}, {"detail": "ü"}])
    assert read_answer(io.BytesIO(stream.getvalue())) == [{"width_px": 1}, {"detail": "ü"}]
    for n_bytes in (4, len(stream.getvalue()) - 1):
        with pytest.raises(EOFError):
            read_answer(io.BytesIO(stream.getvalue()[:n_bytes]))
