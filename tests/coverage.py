#!/usr/bin/env python3
"""coverage.py: which lines and branches of fastserve.h all tests together reached, by gcc's counters.

    python3 tests/coverage.py DIRECTORY [LINES BRANCHES]

DIRECTORY holds the objects of `make coverage` with what their programs counted. A table by sections of the header; what no
test reached stands in DIRECTORY/unreached, in the order of the header. Exit status 1 below LINES or BRANCHES per cent.
A line counts as reached if any program reached it, a branch likewise: the same code is compiled into every test.

What is not reached, on Linux and as root, and why:
  - other kernels: no statx, openat2, epoll_pwait2, SO_REUSEPORT, steering by CPU or IPv6; a cgroup's quota; a clock that is not there
  - other users: what root may do and others may not (EACCES of folders, files, ports)
  - one thing too little just there: memory, a descriptor or a thread between two calls that both got theirs, or a worker's
    queue that is full while a file is not in memory. tests/test_faults.c and test_sim.c reach most such places, not each
  - another program in the same microseconds: a file written to at each of eight looks, a folder renamed at each of ten
  - what only the load generator asks of the header, in runs longer than a test's
  - branches that cannot come (`default:` of an enum), and arguments that no test gives twice
"""

import glob
import json
import os
import re
import subprocess
import sys

HEADER = "fastserve.h"


def counters(directory):
    """Yields what gcov says of the header for each object that was run."""
    for path in sorted(glob.glob(directory + "/*.gcda")):
        done = subprocess.run(["gcov", "--json-format", "--branch-probabilities", "--stdout", path],
                              capture_output=True, check=True)
        for line in done.stdout.splitlines():
            for file in json.loads(line)["files"]:
                if os.path.basename(file["file"]) == HEADER:
                    yield file["lines"]


def main():
    directory = sys.argv[1]
    least_lines, least_branches = (float(word) for word in (sys.argv[2:4] or ("0", "0")))
    lines, branches, objects = {}, {}, 0
    for counted in counters(directory):
        objects += 1
        for line in counted:
            number = line["line_number"]
            lines[number] = lines.get(number, 0) + line["count"]
            taken = [branch["count"] for branch in line["branches"] if not branch["throw"]]
            had = branches.setdefault(number, [])
            had.extend([0] * (len(taken) - len(had)))
            for i, count in enumerate(taken):
                had[i] += count
    if not lines:
        print("coverage.py: nothing was counted below " + directory)
        return 1

    with open(HEADER, encoding="utf-8") as file:
        text = file.read().split("\n")
    section, of = "", {}  # number of a line: its section
    for number, line in enumerate(text, 1):
        tag = re.match(r"// >>([a-z-]+) ", line)
        section = tag.group(1) if tag else section
        of[number] = section
    rows = {}
    with open(directory + "/unreached", "w", encoding="utf-8") as out:
        for number in sorted(lines):
            row = rows.setdefault(of[number], [0, 0, 0, 0])
            missed = sum(count == 0 for count in branches[number])
            row[0] += 1
            row[1] += lines[number] > 0
            row[2] += len(branches[number])
            row[3] += len(branches[number]) - missed
            if lines[number] == 0:
                out.write(f"{number}: never {text[number - 1].strip()}\n")
            elif missed:
                out.write(f"{number}: {missed} of {len(branches[number])} ways {text[number - 1].strip()}\n")

    print(f"{'section':<16} {'lines':>6} {'reached':>8} {'branches':>9} {'reached':>8}")
    total = [sum(column) for column in zip(*rows.values())]
    for name, row in [*rows.items(), ("all of it", total)]:
        shares = [100 * row[1] / row[0], 100 * row[3] / row[2] if row[2] else 100]
        print(f"{name:<16} {row[0]:>6} {shares[0]:>7.1f}% {row[2]:>9} {shares[1]:>7.1f}%")
    print(f"{objects} programs; what none of them reached: {directory}/unreached")
    fine = 100 * total[1] >= least_lines * total[0] and 100 * total[3] >= least_branches * total[2]
    print(f"{1 if fine else 0} passed, {0 if fine else 1} failed: "
          f"at least {least_lines:g} % of the lines and {least_branches:g} % of the branches")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
