"""The library `reader`, run by the Python it is installed in: adds the feeds, or updates them once.

    PYTHON reader_pass.py DATABASE add URLS      PYTHON reader_pass.py DATABASE update WORKERS

An update prints one JSON object: processor and wall seconds without the start.
"""

import json
import sys
import time
from pathlib import Path

from reader import make_reader


def main() -> None:
    database, verb, argument = sys.argv[1:]
    with make_reader(database) as reader:
        if verb == "add":
            for url in Path(argument).read_text().split():
                reader.add_feed(url, exist_ok=True)
            return
        wall, cpu = time.monotonic(), time.process_time()
        results = [result.value for result in reader.update_feeds_iter(scheduled=False, workers=int(argument))]
        wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    failed = sum(isinstance(value, Exception) for value in results)
    new = sum(value.new for value in results if value is not None and not isinstance(value, Exception))
    print(json.dumps({"cpu": cpu, "wall": wall, "polled": len(results), "failed": failed, "new_entries": new}))


if __name__ == "__main__":
    main()
