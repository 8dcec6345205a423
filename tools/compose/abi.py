# SPDX-License-Identifier: BSD-2-Clause
"""The C structs and constants that the composer writes or checks against; abi_test.py compares them with the headers."""

import ctypes

U32, U64 = ctypes.c_uint32, ctypes.c_uint64

# kernel/abi/cairn/types.h
PAGE_SIZE_4K = 0x1000
PAGE_SIZE_2M = 0x200000

# kernel/abi/cairn/boot.h
IMAGE_PHYS = 0x1000000
IMAGE_MAGIC = 0x6D492D6E72696143
IMAGE_VERSION = 1
IMAGE_SEGMENTS = 8
IMAGE_MODULES = 32
SEGMENT_WRITE = 1
SEGMENT_EXEC = 2
ROOT_INFO_VA = 0x10000000
ROOT_STACK_TOP = 0x10100000

# libs/include/cairn/system.h
SYSTEM_MAGIC = 0x79532D6E72696143
SYSTEM_VERSION = 1
SYSTEM_SERVERS = 32
SYSTEM_VMS = 8
SYSTEM_NONE = 0xFFFFFFFF
ROLE_APP, ROLE_CONSOLE, ROLE_MCA, ROLE_VMM = range(4)
GRANT_SERIAL, GRANT_MACHINECHECK, GRANT_MEMORY, GRANT_ROOT_SERVICE = 1, 2, 4, 8
GRANT_HARDWARE = 16
POLICY_INJECT, POLICY_KILL, POLICY_RESTART = range(3)
PROFILE_INTEL, PROFILE_AMD, PROFILE_HOST = range(3)
PAYLOAD_LINUX, PAYLOAD_ELF = range(2)
MCA_FLAG_SUCCOR_OVERRIDE = 1

# libs/include/cairn/server.h
SERVER_INFO_VA = 0x10000000
SERVER_HEAP_VA = 0x20000000
SERVER_STACK_VA = 0x30000000
SERVER_STACK_STRIDE = 0x100000
SERVER_PAYLOAD_VA = 0x40000000
SERVER_GUEST_VA = 0x100000000000
SERVER_CHANNELS = 32
CHANNEL_SIZE = 0x10000
SEL_THREAD = 8
SEL_CHANNEL = 16
SEL_VCPU = 48
SEL_EXIT = 80
SEL_FREE = 256


class ImageSegment(ctypes.LittleEndianStructure):
    """struct image_segment"""
    _fields_ = [("vaddr", U64), ("pages", U64), ("offset", U64), ("flags", U64)]


class ImageModule(ctypes.LittleEndianStructure):
    """struct image_module"""
    _fields_ = [("name", ctypes.c_char * 32), ("offset", U64), ("size", U64)]


class ImageHeader(ctypes.LittleEndianStructure):
    """struct image_header"""
    _fields_ = [("magic", U64), ("version", U32), ("module_count", U32), ("size", U64),
                ("root_entry", U64), ("root_slots", U64), ("segment_count", U64),
                ("segment", ImageSegment * IMAGE_SEGMENTS), ("module", ImageModule * IMAGE_MODULES)]


class DescServer(ctypes.LittleEndianStructure):
    """struct desc_server"""
    _fields_ = [("name", ctypes.c_char * 16), ("args", ctypes.c_char * 240), ("module", U32),
                ("role", U32), ("vm", U32), ("cpu", U32), ("priority", U32), ("handlers", U32),
                ("heap_kib", U32), ("stack_kib", U32), ("grants", U32), ("slots", U32),
                ("ceiling", U32), ("reserved", U32),
                ("untyped", U64), ("budget_us", U64), ("period_us", U64)]


class DescVm(ctypes.LittleEndianStructure):
    """struct desc_vm"""
    _fields_ = [("name", ctypes.c_char * 16), ("cmdline", ctypes.c_char * 1024), ("memory", U64),
                ("vcpus", U32), ("cpu", U32), ("priority", U32), ("payload", U32),
                ("kernel_module", U32), ("initrd_module", U32), ("policy", U32), ("profile", U32),
                ("on_shutdown", U32), ("debug_exit", U32), ("budget_us", U64), ("period_us", U64)]


class SystemDescription(ctypes.LittleEndianStructure):
    """struct system_description"""
    _fields_ = [("magic", U64), ("version", U32), ("server_count", U32), ("vm_count", U32),
                ("end_when_idle", U32), ("reserve_kib", U32), ("start_cpus", U32), ("mca_flags", U32),
                ("name", ctypes.c_char * 32), ("server", DescServer * SYSTEM_SERVERS),
                ("vm", DescVm * SYSTEM_VMS)]


STRUCTS = {"image_segment": ImageSegment, "image_module": ImageModule,
           "image_header": ImageHeader, "desc_server": DescServer, "desc_vm": DescVm,
           "system_description": SystemDescription}
