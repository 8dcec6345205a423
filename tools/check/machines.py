# SPDX-License-Identifier: BSD-2-Clause
"""Stage boot: one medium on machines of many shapes, by BIOS and by UEFI, and those on which it cannot run."""

import os
import re
import struct
from dataclasses import dataclass

from compose.errors import DescriptionError
from compose.iso import make_iso

from . import builds
from .boots import CLEAN_END, CPUS, DEBUG_EXIT, TARGET_LINE
from .report import TOP, Watch
from .run import TooLong, at_once, lines_of, log_path, tail

OVMF = "/usr/share/ovmf/OVMF.fd"
BOOT_LIMIT = 300.0
CANNOT_RUN = 5  # isa-debug-exit: (value << 1) | 1 of the root-task's BUILD_FAILED
HOLE = "cutmem 5G 6G"  # GRUB hides this from whom it starts
FIRST_LINE = r"^cairn: microhypervisor, "


def spcr(port, interrupt=0, space=1, speed=7):
    """ACPI's table of the console's serial port (revision 2): an I/O port (space 1), its 8259 line (0: none)."""
    body = struct.pack("<B3xBBBBQBBIBBBBBBHHBBBIBI", 0, space, 8, 0, 1, port, int(interrupt != 0), interrupt, 0, speed,
                       0, 1, 0, 0, 0, 0xffff, 0xffff, 0, 0, 0, 0, 0, 0)
    head = struct.pack("<4sIBB6s8sI4sI", b"SPCR", 36 + len(body), 2, 0, b"CAIRN ", b"TEST    ", 1, b"TEST", 1)
    table = bytearray(head + body)
    table[9] = -sum(table) & 0xff
    return bytes(table)


def cpu(socket, core):
    """One CPU more, of `intel`."""
    return ("-device", f"Haswell-x86_64-cpu,svm=on,npt=on,socket-id={socket},core-id={core},thread-id=0")


COM1 = ("-serial", "stdio")
COM2 = ("-chardev", "stdio,id=com2", "-device", "isa-serial,iobase=0x2f8,irq=3,chardev=com2")
# APIC ids are made of socket and core numbers: with three cores in a socket the fourth number stays free.
GAPS = ("-smp", "1,maxcpus=6,sockets=2,cores=3", *cpu(0, 2), *cpu(1, 2))
TWO = ("-smp", "2")


@dataclass(frozen=True)
class Machine:
    """What is special about a machine, and what must be seen on its serial port: regular expressions, each of a line."""

    medium: str = "kernel"  # the image itself by QEMU (multiboot1); the medium by GRUB: cd, disk, stick, hole
    uefi: bool = False
    memory: int = 512
    model: str = CPUS["intel"]
    options: tuple = ()
    serial: tuple = COM1
    spcr: bytes = b""
    sights: tuple = ()
    debug_exit: bool = True  # without it ACPI alone can switch the machine off; QEMU's exit status is then 0
    end: int | None = CLEAN_END  # QEMU's exit status; CLEAN_END: after the on-target tests; None: it never ends


ENDED = (r"tests: \d+ ok, 0 failed$", r"system: ended \(server tests asked for it\): value 0$")
NO_GUESTS = (r"^cairn: this CPU offers no virtual machines: enable .*, or use another machine$",
             r"system: ended \(this machine cannot run it\): value 2$")
MACHINES = {
    "bios-cd": Machine("cd", options=TWO, sights=(r"2 CPU\(s\): APIC ids 0 1$",)),
    "bios-disk": Machine("disk", model=CPUS["amd"]),
    "uefi-cd": Machine("cd", uefi=True, options=TWO, sights=(r"2 CPU\(s\): APIC ids 0 1$",)),
    "uefi-stick": Machine("stick", uefi=True, model=CPUS["amd"]),
    "apic-ids-with-gaps": Machine(options=GAPS, sights=(r"3 CPU\(s\): APIC ids 0 2 6$",)),
    "apic-ids-with-gaps-uefi": Machine("cd", uefi=True, options=GAPS, sights=(r"3 CPU\(s\): APIC ids 0 2 6$",)),
    "memory-above-4-gib": Machine(memory=6144, sights=(r"614\d MiB of memory", r"free at .*\.\.0x200000000$")),
    "a-hole-from-half-a-gib-on": Machine("cd", memory=4096, options=("-M", "max-ram-below-4g=512M"),
                                         sights=(r"409\d MiB of memory", r"free at .*\.\.0x1e0000000$")),
    "a-hole-above-4-gib": Machine("hole", memory=8192, sights=(r"716\d MiB of memory", r"free at .*\.\.0x140000000$",
                                                               r"free at .*\.\.0x280000000$")),
    "a-hole-above-4-gib-uefi": Machine("hole", uefi=True, memory=8192,
                                       sights=(r"716\d MiB of memory", r"free at .*\.\.0x140000000$")),
    # All that is said, from the first line on, although COM1 is there.
    "serial-port-of-the-firmware": Machine(serial=("-serial", "null", *COM2), spcr=spcr(0x2f8, 3), sights=(FIRST_LINE,)),
    "serial-port-of-the-firmware-uefi": Machine("cd", uefi=True, serial=COM2, spcr=spcr(0x2f8, 3), sights=(FIRST_LINE,)),
    "serial-port-without-interrupt": Machine(serial=COM2, spcr=spcr(0x2f8, speed=0), sights=(FIRST_LINE,)),
    "serial-port-in-memory": Machine(spcr=spcr(0xfe000000, space=0),
                                     sights=(r"serial port: the ACPI table SPCR names a port in memory, .*: COM1 is used$",)),
    "serial-port-that-is-not-there": Machine(spcr=spcr(0x2f8, 3), sights=(r"no 16550 answers .*: COM1 is used$",)),
    "switched-off-by-acpi": Machine(debug_exit=False, sights=ENDED, end=0),
    "switched-off-by-acpi-uefi": Machine("cd", uefi=True, debug_exit=False, sights=ENDED, end=0),
    "no-virtual-machines": Machine(model="Haswell", sights=NO_GUESTS, end=CANNOT_RUN),
    "no-virtual-machines-uefi": Machine("cd", uefi=True, model="Haswell", serial=COM2, spcr=spcr(0x2f8),
                                        sights=NO_GUESTS, end=CANNOT_RUN),
    "no-nested-paging": Machine(model="EPYC,-npt", sights=(r"^cairn: this CPU's AMD-V has no nested paging, .*: use a newer "
                                                           r"machine$", NO_GUESTS[1]), end=CANNOT_RUN),
    "no-64-bit-mode": Machine(model="qemu32", sights=(r"^cairn: this CPU has no 64-bit mode; ",), end=None),
}


def command(machine, media, table):
    """The QEMU that boots it. media: path by kind of medium; table: where its SPCR is."""
    medium = media.get(machine.medium)
    started = {"kernel": ["-kernel", medium], "cd": ["-cdrom", medium], "hole": ["-cdrom", medium],
               "disk": ["-drive", f"file={medium},format=raw,if=ide,readonly=off,snapshot=on"],
               "stick": ["-drive", f"file={medium},format=raw,if=none,id=stick,snapshot=on", "-device", "qemu-xhci",
                         "-device", "usb-storage,drive=stick"]}[machine.medium]
    return ["qemu-system-x86_64", "-accel", "tcg", "-M", "q35", "-m", str(machine.memory), "-cpu", machine.model,
            "-nodefaults", "-display", "none", "-no-reboot", *(["-device", DEBUG_EXIT] if machine.debug_exit else []), *machine.serial, *machine.options,
            *(["-bios", OVMF] if machine.uefi else []), *(["-acpitable", f"file={table}"] if machine.spcr else []), *started]


def verdict(machine, lines):
    """Why a machine did not do what it should, or "": from its lines, at last ("", exit status)."""
    missing, passed = list(machine.sights), 0
    for line, status in lines:
        missing = [sight for sight in missing if not re.search(sight, line)]
        if machine.end is None and not missing:
            return ""
        found = TARGET_LINE.search(line)
        if found and found.group(1) == "FAIL":
            return line
        passed += bool(found and found.group(1) == "ok")
        if status is not None and status != machine.end:
            return f"QEMU's exit status is {status}, not {machine.end}"
    if machine.end == CLEAN_END and not passed:
        return "no test passed"
    return f"nobody printed `{missing[0]}`" if missing else ""


def boot(name, machine, media):
    """(name, seconds, reason, log)"""
    watch, log = Watch(), log_path("boot", name)
    table = f"{log}.spcr"
    if machine.spcr:
        with open(table, "wb") as file:
            file.write(machine.spcr)
    try:
        reason = verdict(machine, lines_of(command(machine, media, table), log, BOOT_LIMIT))
    except (TooLong, OSError) as error:
        reason = str(error)
    return name, watch.lap(), f"{reason}\n{tail(log)}" if reason else "", log if reason else None


def make_media(report):
    """Path by kind of medium, or {} when there is none to boot."""
    watch = Watch()
    iso, hole = (os.path.join(builds.directory("debug"), "images", name) for name in ("tests.iso", "tests-hole.iso"))
    image, reason = builds.compose("debug", os.path.join(TOP, "systems", "tests.toml"), "--iso", iso)
    if not reason:
        try:
            make_iso(image, hole, "tests", commands=(HOLE,), modules=("mmap",))
        except DescriptionError as error:
            reason = str(error)
    report.judge("medium", watch.lap(), reason)
    return {} if reason else {"kernel": image, "cd": iso, "disk": iso, "stick": iso, "hole": hole}


def stage_boot(report):
    """One medium boots by BIOS and by UEFI, whatever the machine's memory, CPUs and serial port; else it says what is missing."""
    media = make_media(report)
    for done in at_once((boot, name, machine, media) for name, machine in MACHINES.items() if media):
        report.judge(*done)
