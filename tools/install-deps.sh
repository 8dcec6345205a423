#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Installs the Debian 12 packages that building, simulating and checking need. Does nothing when all are there.
set -euo pipefail

packages=(
	# build
	gcc libc6-dev clang lld libclang-rt-14-dev binutils cmake ninja-build musl-tools python3
	# simulate
	qemu-system-x86 seabios bochs bochsbios vgabios busybox-static cpio
	# boot media
	grub-pc-bin grub-efi-amd64-bin grub-common xorriso mtools ovmf
	# check
	clang-format libcmocka-dev libzydis-dev libcapstone-dev spin faketime locales python3-capstone python3-pyelftools
	# prove
	frama-c-base why3 z3 cvc4
)

missing=()
for package in "${packages[@]}"; do
	status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
	[ "$status" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
	exit 0
fi

echo "install-deps: missing: ${missing[*]}" >&2
if [ "$(id -u)" -eq 0 ]; then
	as_root=()
elif command -v sudo >/dev/null; then
	as_root=(sudo)
else
	echo "install-deps: run as root, or install sudo, or: apt-get install ${missing[*]}" >&2
	exit 1
fi
export DEBIAN_FRONTEND=noninteractive
install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive
	apt-get install -y --no-install-recommends "${missing[@]}")
# The lists may be absent or stale: fetch them only when the first attempt fails.
if ! "${install[@]}" >/dev/null 2>&1; then
	"${as_root[@]}" apt-get update -q >/dev/null
	"${install[@]}" >/dev/null || {
		echo "install-deps: apt-get could not install: ${missing[*]}" >&2
		exit 1
	}
fi
echo "install-deps: installed ${#missing[@]} packages" >&2
