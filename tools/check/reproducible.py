# SPDX-License-Identifier: BSD-2-Clause
"""Stage reproducible: two builds that differ in all that must not matter give the same bytes."""

import concurrent.futures
import os
import shutil
import tempfile

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from .builds import BUILD_LIMIT, PYTHON
from .report import LOGS, TOP, Watch
from .run import log_path, run
from .source import sources

# "nobody", who may do nothing in the folders of who builds first.
OTHER_USER = 65534
OTHER_LOCALE = "tr_TR"  # its i is no I
CHUNK = 1 << 20

# What each does in its build directory $OUT from the tree $TREE.
SCRIPT = """
set -eu
mkdir -p "$OUT/clang"
cd "$OUT"
"$TREE/init-build.sh" -DPRESET=release -DCAIRN_HOST_TESTS=OFF
ninja -j "$JOBS" products
mkdir -p images
for system in "$TREE"/systems/*.toml; do
	%s "$TREE/tools/compose" "$system" --build .
done
%s "$TREE/tools/compose" "$TREE/systems/tests.toml" --build . --iso images/tests.iso
cd clang
"$TREE/init-build.sh" -DPRESET=debug -DCAIRN_COMPILER=clang -DCAIRN_HOST_TESTS=OFF
ninja -j "$JOBS" products
""" % (PYTHON, PYTHON)


def copy_tree(target):
    """The sources, and what was downloaded for them."""
    for name in sources():
        path = os.path.join(target, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        shutil.copy(os.path.join(TOP, name), path)
    shutil.copytree(os.path.join(TOP, "build", "cache"), os.path.join(target, "build", "cache"))


def first_command(top):
    """Builds in a folder of the tree, as whoever runs this, now."""
    environment = {"TREE": top, "OUT": os.path.join(top, "build", "one"), "JOBS": "1", "LC_ALL": "C", "TZ": "UTC"}
    return ["sh", "-c", f"umask 022\n{SCRIPT}"], environment


def second_command(top, locales):
    """Builds beside the tree as another user, elsewhere in the world, more than a year later."""
    environment = {"TREE": os.path.join(top, "the tree of somebody else"), "OUT": os.path.join(top, "o"), "JOBS": "2",
                   "LC_ALL": f"{OTHER_LOCALE}.UTF-8", "LOCPATH": locales, "TZ": "XXX-13:45", "USER": "nobody",
                   "HOME": top, "TMPDIR": top, "PYTHONHASHSEED": "1", "DONT_FAKE_MONOTONIC": "1"}
    command = ["faketime", "-f", "+400d", "sh", "-c", f"umask 077\n{SCRIPT}"]
    if os.getuid() == 0:
        command = ["setpriv", f"--reuid={OTHER_USER}", f"--regid={OTHER_USER}", "--clear-groups", *command]
    return command, environment


def give(top, user):
    """All below `top` belongs to `user`, and nobody else may look into it."""
    for directory, _, names in os.walk(top):
        for path in [directory, *(os.path.join(directory, name) for name in names)]:
            os.chown(path, user, user)


def difference(path, other):
    """Where two files differ first, or ""."""
    with open(path, "rb") as one, open(other, "rb") as two:
        offset = 0
        while True:
            first, second = one.read(CHUNK), two.read(CHUNK)
            if first != second:
                offset += next((i for i, (a, b) in enumerate(zip(first, second)) if a != b), min(len(first), len(second)))
                return f"the two builds differ from offset {offset:#x} on{section_at(path, offset)}: compare {path} with {other}"
            if not first:
                return ""
            offset += len(first)


def section_at(path, offset):
    """In which section of an ELF file that is."""
    try:
        with open(path, "rb") as file:
            for section in ELFFile(file).iter_sections():
                if section["sh_type"] != "SHT_NOBITS" and 0 <= offset - section["sh_offset"] < section["sh_size"]:
                    return f", in {section.name}"
    except (ELFError, OSError):
        pass
    return ""


def results(directory):
    """What a build is for: kernels, servers, guests, images and the medium."""
    names = []
    for build in ("", "clang"):
        with open(os.path.join(directory, build, "products.txt"), encoding="utf-8") as file:
            names += [os.path.join(build, name) for name in file.read().split()]
    images = os.listdir(os.path.join(directory, "images"))
    return sorted(names + [os.path.join("images", name) for name in images if name.endswith((".elf", ".iso"))])


def keep(directory, kept, names):
    """Moves results to where they can be looked at."""
    for name in names:
        target = os.path.join(kept, name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copyfile(os.path.join(directory, name), target)


def stage_reproducible(report):
    """Builds in other folders, at another time, by another user, in another locale, give the same bytes."""
    watch = Watch()
    where = os.path.join(LOGS, "reproducible")
    shutil.rmtree(where, ignore_errors=True)
    kernel_log = log_path("reproducible", "kernel")
    reason = run([PYTHON, os.path.join(TOP, "apps/guest-linux/fetch_kernel.py"), "--cache",
                  os.path.join(TOP, "build/cache/debian-kernel"), "--output", os.path.join(where, "vmlinuz")],
                 kernel_log, BUILD_LIMIT)
    if reason:
        report.fail("sources", watch.lap(), reason, kernel_log)
        return
    with tempfile.TemporaryDirectory(prefix="cairn-") as elsewhere:
        build_both(report, watch, where, elsewhere)


def build_both(report, watch, where, elsewhere):
    """Both at once, then what they made is compared."""
    one = os.path.join(where, "one")
    copy_tree(one)
    locales = os.path.join(elsewhere, "locales")
    os.makedirs(locales)
    reason = run(["localedef", "-i", OTHER_LOCALE, "-f", "UTF-8", os.path.join(locales, f"{OTHER_LOCALE}.UTF-8")],
                 log_path("reproducible", "locale"), BUILD_LIMIT)
    if reason:
        report.fail("locale", watch.lap(), reason)
        return
    second, second_environment = second_command(elsewhere, locales)
    copy_tree(second_environment["TREE"])
    if os.getuid() == 0:
        give(elsewhere, OTHER_USER)
    else:
        report.skip("another user", "only root can be somebody else")
    first, first_environment = first_command(one)
    jobs = (("one", first, first_environment), ("other", second, second_environment))
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        reasons = pool.map(lambda job: run(job[1], log_path("reproducible", job[0]), BUILD_LIMIT, job[2]["TREE"], job[2]), jobs)
        for (name, *_), reason in zip(jobs, reasons):
            report.judge(f"build {name}", watch.lap(), reason, log_path("reproducible", name) if reason else None)
            if reason:
                return
    names = results(first_environment["OUT"])
    if names != results(second_environment["OUT"]):
        report.fail("names", watch.lap(), "the two builds make different files: "
                    f"{' '.join(sorted(set(names) ^ set(results(second_environment['OUT']))))}")
        return
    kept = os.path.join(where, "other")
    keep(second_environment["OUT"], kept, names)
    reasons = {name: difference(os.path.join(first_environment["OUT"], name), os.path.join(kept, name)) for name in names}
    for name, reason in reasons.items():
        report.judge(name, watch.lap(), reason)
    if not any(reasons.values()):
        shutil.rmtree(one)
        shutil.rmtree(kept)
