"""The fork server as it is, which at its end also says whether its weights are what they were.

Prints one line on stderr: a checksum of all weights before the first and after the last request.
"""

import hashlib
import os
import sys

from generation.models.profiles import get_profile
from generation.processes import fork_server, step_server


def checksum(cache) -> str:
    import torch  # not before the template has seen to its threads

    digest = hashlib.sha256()
    for key in sorted(cache.parts, key=str):
        part = cache.parts[key]
        for name, tensor in sorted(part.state_dict().items() if hasattr(part, "state_dict") else []):
            digest.update(
                f"{key} {name}".encode() + tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes()
            )
    return digest.hexdigest()


def main() -> None:
    control = step_server.begin_serving()
    profile = get_profile(sys.argv[1])
    cache = fork_server.prepared_cache(profile)
    for name in sys.argv[2:]:
        cache.fetch(name, profile)
    before = checksum(cache)
    fork_server.serve(control, cache, profile, ahead=[])
    print(f"checksums: {before} {checksum(cache)}", file=sys.stderr, flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
