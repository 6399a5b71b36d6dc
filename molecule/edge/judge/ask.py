"""Send requests to a site for some seconds, each on a new connection, and print the result as JSON."""

from __future__ import annotations

import json
import ssl
import statistics
import sys
import time
import urllib.request

PAUSE = 0.05


def main() -> None:
    base, seconds, timeout = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
    trusted = ssl.create_default_context(cafile="/ca.crt")
    requests, times, failures = 0, [], set()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        path, body = (("/health", None), ("/echo", b"[1]"))[requests % 2]
        request = urllib.request.Request(base + path, body, {"Content-Type": "application/json"})
        requests += 1
        began = time.monotonic()
        try:
            with urllib.request.urlopen(request, timeout=timeout, context=trusted) as answer:
                answer.read()
            times.append(time.monotonic() - began)
        except OSError as exc:
            failures.add(str(exc))
        time.sleep(PAUSE)
    print(
        json.dumps(
            {
                "requests": requests,
                "answered": len(times),
                "median_ms": round(statistics.median(times) * 1000) if times else None,
                "worst_ms": round(max(times) * 1000) if times else None,
                "failures": sorted(failures),
            }
        )
    )


if __name__ == "__main__":
    main()
