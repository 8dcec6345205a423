#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Configures a build directory:  mkdir -p build/x && cd build/x && ../../init-build.sh -DPRESET=release && ninja
set -eu

source_dir=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
if [ "$(pwd)" = "$source_dir" ]; then
	echo "init-build.sh: run it in the directory to build in, e.g." >&2
	echo "  mkdir -p build/debug && cd build/debug && ../../init-build.sh -DPRESET=debug && ninja" >&2
	exit 2
fi
exec cmake -G Ninja "$@" -C "$source_dir/settings.cmake" -S "$source_dir" -B .
