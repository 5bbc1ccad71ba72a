"""What a request from the network may name: uploads, songs of this server and content hashes, and never a path.

Uploads and songs become files of ours here; styles and adapters must be known by name.
"""

from __future__ import annotations

from partita.service.config import Limits
from partita.service.jobs.queue import JobQueue
from partita.service.uploads import Uploads
from partita.song.request import SongRequest


def admit(request: SongRequest, queue: JobQueue, uploads: Uploads, limits: Limits) -> SongRequest:
    """The request with ids turned into files of ours.

    Raises AccessError for anything that names a path, NotFoundError for an unknown id, TooLargeError for more songs or
    a longer one than the limits allow.
    """
    raise NotImplementedError
