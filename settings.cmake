# SPDX-License-Identifier: BSD-2-Clause
# The options of a build, in one place (seL4's habit); init-build.sh loads this file, and -DNAME=VALUE overrides.

set(PRESET "debug" CACHE STRING "debug: with the hypercall debug_write; release: without")
set_property(CACHE PRESET PROPERTY STRINGS debug release)

set(CAIRN_COMPILER "gcc" CACHE STRING "gcc or clang, for everything")
set_property(CACHE CAIRN_COMPILER PROPERTY STRINGS gcc clang)

set(CAIRN_BACKENDS "svm;vmx" CACHE STRING "ways of running guests to build in: svm (AMD-V), vmx (VT-x), or both; the machine decides at boot")

set(CAIRN_HOST_TESTS ON CACHE BOOL "also build the host's unit tests (tests/)")
set(CAIRN_SANITIZE "address,undefined" CACHE STRING "sanitizers of the host's unit tests; empty: none")
