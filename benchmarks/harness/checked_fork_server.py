"""The fork server as it is, which at its end also says whether its weights are what they were.

Prints one line on stderr: a checksum of all weights before the first and after the last request.
"""

import hashlib
import os
import sys

from generation.models.profiles import get_profile
from generation.processes import fork_server, step_server


def checksum(shelf) -> str:
    import torch  # not before the template has seen to its threads

    digest = hashlib.sha256()
    for key in sorted(shelf.parts, key=str):
        part = shelf.parts[key]
        for name, tensor in sorted(part.state_dict().items() if hasattr(part, "state_dict") else []):
            digest.update(
                f"{key} {name}".encode() + tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes()
            )
    return digest.hexdigest()


def main() -> None:
    control = step_server.begin_serving()
    profile = get_profile(sys.argv[1])
    shelf = fork_server.prepared_shelf(profile)
    for name in sys.argv[2:]:
        shelf.fetch(name, profile)
    before = checksum(shelf)
    fork_server.serve(control, shelf, profile, ahead=[])
    print(f"checksums: {before} {checksum(shelf)}", file=sys.stderr, flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
