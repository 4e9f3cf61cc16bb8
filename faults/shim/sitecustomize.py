"""For processes under libfaketime only: sleep by a lock's timeout, which a faked clock does not break."""

import threading
import time


def _sleep(seconds: float) -> None:
    threading.Event().wait(seconds)


time.sleep = _sleep
