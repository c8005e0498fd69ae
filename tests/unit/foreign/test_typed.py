"""Types that several threads decode for the first time at once."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import sys, threading
import msgspec
from srv6kv.foreign import typed

sys.setswitchinterval(1e-5)
THREADS, TYPES = 4, 300

def decode(kind, barrier):
    barrier.wait()
    msgspec.json.decode(b'{"inner":{"name":"a"}}', type=kind)

for number in range(TYPES):
    inner = msgspec.defstruct("Inner", [("name", str)], module="srv6kv.made")
    kind = msgspec.defstruct("Outer", [("inner", inner)], module="srv6kv.made")
    if sys.argv[1:]:
        typed.prepare()
    barrier = threading.Barrier(THREADS)
    threads = [threading.Thread(target=decode, args=(kind, barrier)) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""


def test_prepared_types_are_decoded_by_many() -> None:
    """Prepared, types of ours are decoded by many threads at once, which else ends the process by a
    signal now and then."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, "prepare"], capture_output=True, text=True, timeout=60
    )

    assert (done.returncode, done.stderr) == (0, "")
