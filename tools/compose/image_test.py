# SPDX-License-Identifier: BSD-2-Clause
"""What the composed image holds, and that it is made only when something changed."""

import ctypes
import os
import shutil
import struct
import subprocess
import tempfile
import unittest

from compose import abi, cli, elf, image, testing
from compose.description_test import GOOD
from compose.errors import DescriptionError


def read32(data):
    """(entry, [(physical address, content, memory size)]) of a 32-bit ELF file."""
    fields = elf.HEADER32.unpack_from(data)
    segments = []
    for index in range(fields[10]):
        _, offset, _, paddr, size, memory_size, _, _ = elf.PROGRAM32.unpack_from(
            data, fields[5] + index * elf.PROGRAM32.size)
        segments.append((paddr, data[offset:offset + size], memory_size))
    return fields[4], segments


class Image(unittest.TestCase):
    """Composes GOOD and takes the result apart."""

    def setUp(self):
        self.directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.directory)
        self.build = testing.make_build(os.path.join(self.directory, "build"))
        self.path = os.path.join(self.directory, "x.toml")
        self.output = os.path.join(self.build, "images", "good.elf")

    def compose(self, *options, text=GOOD):
        """Returns (sentence, bytes of the image)."""
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(text)
        sentence = cli.compose(cli.parse([self.path, "--build", self.build, *options]))
        with open(self.output, "rb") as file:
            return sentence, file.read()

    def blob(self, **others):
        """(header, blob) of the composed image."""
        _, segments = read32(self.compose(**others)[1])
        paddr, data, memory_size = segments[-1]
        self.assertEqual(paddr, abi.IMAGE_PHYS)
        self.assertEqual(len(data), memory_size)
        return abi.ImageHeader.from_buffer_copy(data), data

    def module(self, name, **others):
        """The content of a module."""
        header, data = self.blob(**others)
        for module in header.module[:header.module_count]:
            if module.name == name:
                return data[module.offset:module.offset + module.size]
        self.fail(f"no module {name}")

    def put(self, name, data):
        """Replaces a file of the build."""
        with open(os.path.join(self.build, name), "wb") as file:
            file.write(data)

    def test_kernel_lies_at_its_physical_address_and_is_entered_there(self):
        entry, segments = read32(self.compose()[1])
        self.assertEqual(entry, 0x100010)
        paddr, data, memory_size = segments[0]
        self.assertEqual((paddr, memory_size), (0x100000, 0x20000))
        self.assertEqual(data[:12], testing.MULTIBOOT_HEADER)

    def test_kernel_entry_may_be_given_as_physical_address(self):
        base = 0xFFFFFFFF80100000
        data = testing.MULTIBOOT_HEADER + bytes(50)
        self.put("kernel/kernel.elf", testing.elf64(0x100020, [(base, 0x100000, data, 0x1000, 7)]))
        self.assertEqual(read32(self.compose()[1])[0], 0x100020)

    def test_image_is_a_32_bit_elf_for_boot_loaders(self):
        data = self.compose()[1]
        self.assertEqual(data[:6], b"\x7fELF\x01\x01")
        self.assertEqual(struct.unpack_from("<HH", data, 16), (elf.ET_EXEC, elf.EM_386))
        self.assertIsNotNone(image.multiboot_flags(data))

    def test_readelf_agrees(self):
        self.compose()
        printed = subprocess.run(["readelf", "-lW", self.output], text=True, check=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout
        self.assertIn("0x01000000 0x01000000", printed)
        self.assertNotIn("Error", printed)

    def test_header_describes_the_root_task(self):
        header, data = self.blob()
        self.assertEqual(header.magic, abi.IMAGE_MAGIC)
        self.assertEqual(header.version, abi.IMAGE_VERSION)
        self.assertEqual(header.size, len(data))
        self.assertEqual(header.size % abi.PAGE_SIZE_2M, 0)
        self.assertEqual(header.root_entry, 0x401000)
        self.assertEqual(header.segment_count, 2)
        text, rest = header.segment[0], header.segment[1]
        self.assertEqual((text.vaddr, text.pages, text.offset, text.flags),
                         (0x401000, 1, 0x1000, abi.SEGMENT_EXEC))
        self.assertEqual((rest.vaddr, rest.pages, rest.offset, rest.flags),
                         (0x402000, 3, 0x2000, abi.SEGMENT_WRITE))
        self.assertEqual(data[rest.offset:rest.offset + 20], bytes(16) + b"data")
        self.assertEqual(data[rest.offset + 20:rest.offset + 0x3000], bytes(0x3000 - 20))

    def test_modules_are_whole_and_aligned(self):
        header, _ = self.blob()
        first = header.module[0]
        self.assertEqual((first.name, first.offset), (b"system", abi.PAGE_SIZE_2M))
        end = 0
        for module in header.module[:header.module_count]:
            self.assertEqual(module.offset % abi.PAGE_SIZE_4K, 0)
            self.assertGreaterEqual(module.offset, end)
            end = module.offset + module.size
        self.assertLessEqual(end, header.size)
        with open(os.path.join(self.build, "guest-linux/initrd.img"), "rb") as file:
            self.assertEqual(self.module(b"initrd.img"), file.read())

    def test_file_of_several_vms_is_stored_once(self):
        header, _ = self.blob()
        names = [module.name for module in header.module[:header.module_count]]
        self.assertEqual(sorted(names), sorted([
            b"system", b"console.elf", b"mca-server.elf", b"tests.elf", b"vmm-server.elf",
            b"vmlinuz", b"initrd.img"]))

    def test_different_files_of_one_name_are_both_stored(self):
        os.makedirs(os.path.join(self.build, "other"))
        self.put("other/vmlinuz", testing.bzimage(6000))
        text = GOOD[::-1].replace("${BUILD}/guest-linux/vmlinuz"[::-1],
                                  "${BUILD}/other/vmlinuz"[::-1], 1)[::-1]
        self.assertEqual(len(self.module(b"vmlinuz~2", text=text)), 6000)

    def test_description_says_what_the_file_says(self):
        data = self.module(b"system")
        self.assertEqual(len(data), ctypes.sizeof(abi.SystemDescription))
        system = abi.SystemDescription.from_buffer_copy(data)
        self.assertEqual((system.magic, system.version), (abi.SYSTEM_MAGIC, abi.SYSTEM_VERSION))
        self.assertEqual((system.name, system.server_count, system.vm_count), (b"good", 5, 2))
        self.assertEqual((system.end_when_idle, system.mca_flags), (1, 0))
        roles = [server.role for server in system.server[:5]]
        self.assertEqual(roles, [abi.ROLE_CONSOLE, abi.ROLE_MCA, abi.ROLE_APP, abi.ROLE_VMM,
                                 abi.ROLE_VMM])
        console, mca, tests, vmm1, vmm2 = system.server[:5]
        self.assertEqual(console.args, b"mode=all")
        self.assertTrue(console.grants & abi.GRANT_SERIAL)
        self.assertEqual(mca.priority, 50)
        self.assertTrue(mca.grants & abi.GRANT_MACHINECHECK)
        self.assertEqual((tests.grants, tests.untyped, tests.slots), (abi.GRANT_MEMORY, 1 << 20, 512))
        self.assertEqual((vmm1.name, vmm1.vm, vmm1.handlers), (b"vmm-linux-1", 0, 1))
        self.assertEqual((vmm2.vm, vmm2.heap_kib, vmm2.grants), (1, 1024, 0))
        self.assertEqual(vmm1.module, vmm2.module)
        self.assertEqual(system.vm[0].kernel_module, system.vm[1].kernel_module)
        self.assertEqual(system.vm[1].initrd_module, abi.SYSTEM_NONE)
        self.assertEqual(system.vm[0].memory, 256 << 20)

    def test_vms_go_on_cpus_of_their_own_unless_told(self):
        def places(*sets):
            _, segments = read32(self.compose(*sets)[1])
            header = abi.ImageHeader.from_buffer_copy(segments[-1][1])
            system = abi.SystemDescription.from_buffer_copy(segments[-1][1], header.module[0].offset)
            return [server.cpu for server in system.server[:5]], [vm.cpu for vm in system.vm[:2]]

        self.assertEqual(places(), ([0, 0, 0, 0, 1], [0, 1]))
        # More than the machine has: it is taken modulo their number when the system starts.
        self.assertEqual(places("--set", "vm.linux-1.cpu=63", "--set", "mca.cpu=3", "--set", "server.tests.cpu=2"),
                         ([0, 3, 2, 63, 1], [63, 1]))

    def test_choices_become_their_numbers(self):
        sets = ["--set", "vm.linux-1.policy=kill", "--set", "vm.linux-1.profile=amd", "--set",
                "vm.linux-1.end_system=true", "--set", "mca.succor_override=true", "--set",
                "system.end=never", "--set", "vm.linux-1.cmdline+=quiet"]
        _, segments = read32(self.compose(*sets)[1])
        header = abi.ImageHeader.from_buffer_copy(segments[-1][1])
        system = abi.SystemDescription.from_buffer_copy(segments[-1][1], header.module[0].offset)
        vm = system.vm[0]
        self.assertEqual((vm.policy, vm.profile, vm.on_shutdown, vm.cmdline),
                         (abi.POLICY_KILL, abi.PROFILE_AMD, 1, b"quiet"))
        self.assertEqual((system.mca_flags, system.end_when_idle), (abi.MCA_FLAG_SUCCOR_OVERRIDE, 0))

    def test_each_grant_has_its_bit(self):
        text = GOOD.replace('grants = ["memory"]', 'grants = ["memory", "hardware"]')
        system = abi.SystemDescription.from_buffer_copy(self.module(b"system", text=text))
        self.assertEqual(system.server[2].grants, abi.GRANT_MEMORY | abi.GRANT_HARDWARE)

    def test_each_policy_has_its_number(self):
        for word, number in (("inject", 0), ("kill", 1), ("restart", 2)):
            _, segments = read32(self.compose("--set", f"vm.linux-2.policy={word}")[1])
            header = abi.ImageHeader.from_buffer_copy(segments[-1][1])
            system = abi.SystemDescription.from_buffer_copy(segments[-1][1], header.module[0].offset)
            self.assertEqual((system.vm[0].policy, system.vm[1].policy), (abi.POLICY_INJECT, number))

    def test_console_of_a_single_vm_shows_it_raw(self):
        text = GOOD.split("[[vm]]\nname = \"linux-2\"")[0].replace('mode = "all"', "")
        data = self.module(b"system", text=text)
        system = abi.SystemDescription.from_buffer_copy(data)
        self.assertEqual(system.server[0].args, b"mode=raw:linux-1")

    def test_second_composition_does_nothing(self):
        self.compose()
        before = os.stat(self.output).st_mtime_ns
        self.assertIn("up to date", self.compose()[0])
        self.assertEqual(os.stat(self.output).st_mtime_ns, before)

    def test_changed_input_is_noticed(self):
        _, before = self.compose()
        self.put("guest-linux/initrd.img", b"other")
        sentence, after = self.compose()
        self.assertNotIn("up to date", sentence)
        self.assertNotEqual(before, after)

    def test_changed_override_is_noticed(self):
        self.compose()
        self.assertNotIn("up to date", self.compose("--set", "system.cpus=3")[0])

    def test_equal_inputs_give_equal_images(self):
        _, before = self.compose()
        os.remove(self.output)
        self.assertEqual(self.compose()[1], before)

    def refused_kernel(self, data, words):
        """A kernel that cannot be used."""
        self.put("kernel/kernel.elf", data)
        with self.assertRaises(DescriptionError) as caught:
            self.compose()
        self.assertIn("kernel.elf: ", str(caught.exception))
        self.assertIn(words, str(caught.exception))

    def test_kernel_without_multiboot_header(self):
        self.refused_kernel(testing.kernel_elf(header=bytes(12)), "no multiboot1 header")

    def test_kernel_whose_header_hides_the_image(self):
        flags = 1 << 16
        header = struct.pack("<III", 0x1BADB002, flags, (-(0x1BADB002 + flags)) & 0xFFFFFFFF)
        self.refused_kernel(testing.kernel_elf(header=header), "bit 16")

    def test_kernel_that_overlaps_the_image(self):
        self.refused_kernel(testing.kernel_elf(size=0x1000000), "overlapping the image")

    def test_kernel_below_the_first_megabyte(self):
        self.refused_kernel(testing.elf64(0x8000, [(0x8000, 0x8000, b"x", 1, 7)]), "overlaps")

    def test_kernel_that_is_no_elf(self):
        self.refused_kernel(b"nothing", "no ELF")

    def test_image_that_does_not_fit_the_memory(self):
        self.put("guest-linux/initrd.img", bytes(100 << 20))
        with self.assertRaises(DescriptionError) as caught:
            self.compose(text=GOOD.replace('"1 GiB"', '"540 MiB"'))
        self.assertIn("[system] memory is 540 MiB", str(caught.exception))


if __name__ == "__main__":
    unittest.main()
