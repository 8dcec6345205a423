# SPDX-License-Identifier: BSD-2-Clause
"""Lays out the system blob (kernel/abi/cairn/boot.h) and writes the bootable file."""

import ctypes
import hashlib
import os
import struct

from . import abi, elf
from .errors import DescriptionError
from .schema import KIB

MULTIBOOT_MAGIC, MULTIBOOT_SEARCH, MULTIBOOT_ADDRESSES = 0x1BADB002, 8192, 1 << 16
MODULE_NAME_LIMIT = 31


def align(value, unit):
    """value rounded up."""
    return (value + unit - 1) // unit * unit


class Modules:
    """The modules of an image; equal contents are stored once."""

    def __init__(self):
        self.names, self.contents, self.by_digest = [], [], {}

    def add(self, path, data):
        """The index of the module with this content."""
        digest = hashlib.sha256(data).digest()
        if digest not in self.by_digest:
            self.by_digest[digest] = len(self.contents)
            self.names.append(self._unique_name(os.path.basename(path)))
            self.contents.append(data)
        return self.by_digest[digest]

    def _unique_name(self, name):
        name = "".join(char if char.isprintable() and char.isascii() else "_" for char in name)
        candidate, number = name[:MODULE_NAME_LIMIT], 2
        while candidate in self.names:
            suffix = f"~{number}"
            candidate = name[:MODULE_NAME_LIMIT - len(suffix)] + suffix
            number += 1
        return candidate


def compile_system(model, modules):
    """struct system_description of the model; its files become modules."""
    system = abi.SystemDescription(
        magic=abi.SYSTEM_MAGIC, version=abi.SYSTEM_VERSION, server_count=len(model.servers),
        vm_count=len(model.vms), end_when_idle=model.end_when_idle,
        reserve_kib=model.system["reserve"] // KIB, start_cpus=model.system["start_cpus"],
        mca_flags=abi.MCA_FLAG_SUCCOR_OVERRIDE if model.succor_override else 0,
        name=model.system["name"].encode())
    for index, server in enumerate(model.servers):
        values = server.values
        system.server[index] = abi.DescServer(
            name=server.name.encode(), args=server.args.encode(),
            module=modules.add(server.file.path, server.file.data), role=server.role,
            vm=server.vm, cpu=values["cpu"], priority=values["priority"],
            handlers=server.handlers, heap_kib=values["heap"] // KIB,
            stack_kib=values["stack"] // KIB, grants=server.grants, slots=values["slots"],
            ceiling=server.ceiling,
            untyped=server.untyped, budget_us=values["budget_us"], period_us=values["period_us"])
    for index, vm in enumerate(model.vms):
        values = vm.values
        initrd = modules.add(vm.initrd.path, vm.initrd.data) if vm.initrd else abi.SYSTEM_NONE
        system.vm[index] = abi.DescVm(
            name=vm.name.encode(), cmdline=values["cmdline"].encode(), memory=values["memory"],
            vcpus=values["vcpus"], cpu=values["cpu"], priority=values["priority"],
            payload=vm.payload, kernel_module=modules.add(vm.kernel.path, vm.kernel.data),
            initrd_module=initrd, policy=values["policy"], profile=values["profile"],
            on_shutdown=values["end_system"], debug_exit=values["debug_exit"],
            budget_us=values["budget_us"], period_us=values["period_us"])
    return system


def _root_pages(segment):
    """A segment as whole pages, bss included."""
    first, end = elf.page_range(segment)
    return first, bytes(segment.vaddr - first) + segment.data + bytes(
        end - segment.vaddr - len(segment.data))


def build_blob(model):
    """The system blob: header, the root-task's pages, modules."""
    modules = Modules()
    # The description comes first among the modules, but is complete only when all others are known.
    modules.names.append("system")
    modules.contents.append(b"")
    modules.contents[0] = bytes(compile_system(model, modules))
    if len(modules.contents) > abi.IMAGE_MODULES:
        raise DescriptionError([("image", 0, f"{len(modules.contents)} different files; at most "
                                 f"{abi.IMAGE_MODULES} fit: use fewer kernels and initrds")])
    root = elf.read(model.root.data)
    if len(root.segments) > abi.IMAGE_SEGMENTS:
        raise DescriptionError([(model.root.path, 0, f"has {len(root.segments)} segments; at most "
                                 f"{abi.IMAGE_SEGMENTS} fit")])
    header = abi.ImageHeader(
        magic=abi.IMAGE_MAGIC, version=abi.IMAGE_VERSION, module_count=len(modules.contents),
        root_entry=root.entry, root_slots=model.system["root_slots"],
        segment_count=len(root.segments))
    pieces, offset = [], abi.PAGE_SIZE_4K
    for index, segment in enumerate(root.segments):
        vaddr, pages = _root_pages(segment)
        flags = (abi.SEGMENT_WRITE if segment.writable else 0) | (
            abi.SEGMENT_EXEC if segment.executable else 0)
        header.segment[index] = abi.ImageSegment(vaddr, len(pages) // abi.PAGE_SIZE_4K, offset,
                                                 flags)
        pieces.append((offset, pages))
        offset += len(pages)
    offset = align(offset, abi.PAGE_SIZE_2M)
    payloads = {modules.add(file.path, file.data) for vm in model.vms
                for file in (vm.kernel, vm.initrd) if file}
    for index, (name, data) in enumerate(zip(modules.names, modules.contents)):
        # A payload is mapped into its vmm-server in 2 MiB pages: nobody else's bytes lie on them.
        unit = abi.PAGE_SIZE_2M if index in payloads else abi.PAGE_SIZE_4K
        offset = align(offset, unit)
        header.module[index] = abi.ImageModule(name.encode(), offset, len(data))
        pieces.append((offset, data))
        offset = align(offset + len(data), unit)
    header.size = align(offset, abi.PAGE_SIZE_2M)
    blob = bytearray(header.size)
    blob[:ctypes.sizeof(header)] = bytes(header)
    for start, data in pieces:
        blob[start:start + len(data)] = data
    return bytes(blob)


def multiboot_flags(data):
    """The flags of the multiboot1 header, which must lie in the first 8 KiB; None without one."""
    for offset in range(0, min(len(data), MULTIBOOT_SEARCH) - 11, 4):
        magic, flags, checksum = struct.unpack_from("<III", data, offset)
        if magic == MULTIBOOT_MAGIC and (magic + flags + checksum) & 0xFFFFFFFF == 0:
            return flags
    return None


def build_image(model, blob):
    """The 32-bit ELF file: the kernel's segments, then the blob."""
    path = model.kernel.path
    try:
        kernel = elf.read(model.kernel.data)
        entry = elf.physical_entry(kernel)
    except elf.BadElf as error:
        raise DescriptionError([(path, 0, f"the kernel {error}")]) from error
    segments = sorted(kernel.segments, key=lambda segment: segment.paddr)
    end = 0x100000
    for segment in segments:
        if segment.paddr < end:
            raise DescriptionError([(path, 0, f"the kernel's segment at {segment.paddr:#x} overlaps "
                                     f"what lies below {end:#x}; correct its linker script")])
        end = segment.paddr + segment.memory_size
    if end > abi.IMAGE_PHYS:
        raise DescriptionError([(path, 0, f"the kernel ends at {end:#x}, overlapping the image at "
                                 f"{abi.IMAGE_PHYS:#x}; make it smaller")])
    # Read and execute for whoever looks at the file; the loaders ignore it.
    segments.append(elf.Segment(abi.IMAGE_PHYS, abi.IMAGE_PHYS, blob, len(blob), 4))
    data = elf.write32(entry, segments)
    flags = multiboot_flags(data)
    if flags is None:
        raise DescriptionError([(path, 0, "the kernel has no multiboot1 header in the first 8 KiB")])
    if flags & MULTIBOOT_ADDRESSES:
        raise DescriptionError([(path, 0, "the kernel's multiboot1 header has address fields (flag "
                                 "bit 16): a loader would then skip the image; clear it")])
    return data
