"""A desk of three items with hostile captions and its server, for the tests of server and page."""

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from flows.rate.questions import AUDITS, RATING, Task
from flows.rate.sample import Drawn, Item, Location, Stratum
from flows.rate.server import Desk, RatingServer

HOSTILE = (
    '<img src=x onerror="document.title=\'owned\'"><script>document.title="owned"</script>',
    "</blockquote>\x00\u202e{{ 7 * 7 }} ${document.title} & \"quoted\" 'too' " + "long " * 2_000,
    "plain",
)
PLACE = Location("pictures.tar", 0, 0, "PNG")


def png(size: tuple[int, int] = (2_000, 400)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, (90, 140, 60)).save(out, "PNG")
    return out.getvalue()


def drawn(pictures: tuple[Location | None, ...] = (PLACE,)) -> Drawn:
    items = [
        Item(f"cc3m_0_{n}", "cc3m", "kept", f"cc3m_0_{n}", None, {"score": n}, text, pictures)
        for n, text in enumerate(HOSTILE)
    ]
    return Drawn((Stratum("cc3m", "kept", 30, 3),), tuple(items))


@contextmanager
def served(labels: Path, task: Task = RATING, of: Drawn | None = None) -> Iterator[RatingServer]:
    desk = Desk(task, of or drawn(), labels, lambda place: png())
    with RatingServer(desk, 0) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(300)


OUTLIERS = AUDITS["outliers"]
