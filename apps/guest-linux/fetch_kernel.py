#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Gets Debian's kernel image, unmodified, out of its package into a cache, without installing it in this system."""

import argparse
import fcntl
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

META_PACKAGE = "linux-image-amd64"
# The cloud flavour has no machine-check code (X86_MCE is off), so only this form will do.
IMAGE_PACKAGE = re.compile(r"linux-image-\d[\w.+]*-\d+-amd64")


class FetchError(Exception):
    """A sentence for the user."""


def run(*command: str, cwd: pathlib.Path | None = None) -> str:
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise FetchError(f"{command[0]} is not installed, but it is needed to get Debian's kernel") from error
    if done.returncode != 0:
        reason = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise FetchError(f"`{' '.join(command)}` failed: {reason[-1] if reason else done.returncode}")
    return done.stdout


def image_package(depends: str) -> str:
    """The name of the real kernel package in the output of `apt-cache depends linux-image-amd64`."""
    for line in depends.splitlines():
        kind, _, name = line.strip().partition(": ")
        if kind == "Depends" and IMAGE_PACKAGE.fullmatch(name):
            return name
    raise FetchError(f"apt knows no kernel behind {META_PACKAGE}: run `apt-get update` first (it needs the network)")


def download(package: str, cache: pathlib.Path) -> None:
    """Puts cache/vmlinuz and cache/package there, the second one last."""
    with tempfile.TemporaryDirectory(dir=cache) as scratch_name:
        scratch = pathlib.Path(scratch_name)
        os.chmod(scratch, 0o755)
        # As root apt would download as user _apt, which cannot write here; the archive is checked either way.
        run("apt-get", "-o", "APT::Sandbox::User=root", "-qq", "download", package, cwd=scratch)
        debs = list(scratch.glob("*.deb"))
        if len(debs) != 1:
            raise FetchError(f"`apt-get download {package}` left {len(debs)} packages instead of one")
        # Only the kernel is wanted of it: 8 MB instead of 400.
        archive = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(debs[0])], stdout=subprocess.PIPE)
        unpacked = subprocess.run(
            ["tar", "-x", "-C", str(scratch), "--wildcards", "./boot/vmlinuz-*", "./boot/config-*"],
            stdin=archive.stdout, capture_output=True, text=True, check=False,
        )
        if archive.wait() != 0 or unpacked.returncode != 0:
            raise FetchError(f"{debs[0].name}: cannot unpack it: {unpacked.stderr.strip()}")
        kernels = sorted((scratch / "boot").glob("vmlinuz-*"))
        if len(kernels) != 1:
            raise FetchError(f"{debs[0].name} has {len(kernels)} files boot/vmlinuz-* instead of one")
        shutil.move(str(kernels[0]), cache / "vmlinuz")
        for config in (scratch / "boot").glob("config-*"):
            shutil.move(str(config), cache / "config")
        (cache / "package").write_text(debs[0].name + "\n")


def as_root() -> list[str]:
    """What must precede a command that only root may do (as in tools/install-deps.sh)."""
    return ["sudo"] if os.geteuid() != 0 and shutil.which("sudo") else []


def fetch(cache: pathlib.Path, refresh: bool) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two builds may run at once
        if not refresh and (cache / "package").is_file() and (cache / "vmlinuz").is_file():
            return
        try:
            package = image_package(run("apt-cache", "depends", META_PACKAGE))
            download(package, cache)
        except FetchError as first:
            # Stale package lists name versions that the mirror no longer has.
            try:
                run(*as_root(), "apt-get", "-qq", "update")
                package = image_package(run("apt-cache", "depends", META_PACKAGE))
                download(package, cache)
            except FetchError as second:
                raise FetchError(
                    f"cannot get Debian's kernel package: {first}; then, after updating the package lists: {second}. "
                    f"It needs the network once; or put a kernel at {cache}/vmlinuz and a line saying which at "
                    f"{cache}/package"
                ) from second


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=pathlib.Path, required=True, help="directory kept between builds")
    parser.add_argument("--output", type=pathlib.Path, help="copy the kernel there as well")
    parser.add_argument("--refresh", action="store_true", help="get it anew although it is there")
    args = parser.parse_args()
    try:
        fetch(args.cache.resolve(), args.refresh)
    except FetchError as error:
        sys.exit(f"fetch_kernel: {error}")
    if args.output:
        args.output.parent.mkdir(parents=True, exist_ok=True)
        scratch = args.output.with_name(args.output.name + ".new")
        shutil.copyfile(args.cache / "vmlinuz", scratch)
        os.replace(scratch, args.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
