"""A whole process up to the first result of a peer, as a script of a user's would be.

python first.py SUBJECT WORKLOAD FOLDER
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main() -> None:
    from subjects import SUBJECTS
    from workloads import WORKLOADS

    subject, workload, place = sys.argv[1:4]
    case = SUBJECTS[subject].make(WORKLOADS[workload], Path(place))
    value, derivative = case.numbers(case.run())
    sys.stdout.write(f"{value!r} {derivative.tolist()}\n")
    sys.stdout.flush()
    os._exit(0)  # as tapecli does: taking the interpreter apart is not part of an answer


if __name__ == "__main__":
    main()
