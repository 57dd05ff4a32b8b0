"""python-tuf follows our repository from a trusted root: follow.py ROOT.json STATE-FOLDER METADATA-URL TARGET...

Prints the versions it ended with and the SHA-256 of each target; exits with 1 when it refuses.
"""

import hashlib
import json
import sys
from pathlib import Path

from tuf.api.metadata import Metadata
from tuf.ngclient import Updater


def main() -> int:
    root, state, url, *targets = sys.argv[1:]
    metadata, downloads = Path(state) / "metadata", Path(state) / "targets"
    for folder in (metadata, downloads):
        folder.mkdir(parents=True, exist_ok=True)
    # The trust of an earlier run is kept: the given root is only the first time's.
    known = (metadata / "root.json").exists()
    updater = Updater(
        metadata_dir=str(metadata),
        metadata_base_url=url,
        target_dir=str(downloads),
        target_base_url=url.rstrip("/") + "/targets/",
        bootstrap=None if known else Path(root).read_bytes(),
    )
    updater.refresh()
    found = {}
    for name in targets:
        info = updater.get_targetinfo(name)
        if info is None:
            raise ValueError(f"no target {name}")
        found[name] = hashlib.sha256(Path(updater.download_target(info)).read_bytes()).hexdigest()
    roles = ("root", "timestamp", "snapshot", "targets")
    versions = {role: Metadata.from_file(str(metadata / f"{role}.json")).signed.version for role in roles}
    print(json.dumps({"versions": versions, "targets": found}))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Exception as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(1)
