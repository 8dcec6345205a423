# SPDX-License-Identifier: BSD-2-Clause
"""Each mistake in a description is an error that names file, line and what to do."""

import os
import shutil
import tempfile
import unittest

from compose import cli, testing
from compose.errors import DescriptionError

GOOD = """\
[system]
name = "good"
memory = "1 GiB"
cpus = 2

[console]
mode = "all"

[mca]
priority = 50

[[server]]
name = "tests"
grants = ["memory"]
untyped = "1 MiB"
slots = 512

[[vm]]
name = "linux-1"
memory = "256 MiB"
kernel = "${BUILD}/guest-linux/vmlinuz"
initrd = "${BUILD}/guest-linux/initrd.img"

[[vm]]
name = "linux-2"
memory = "256 MiB"
kernel = "${BUILD}/guest-linux/vmlinuz"

[vm.server]
heap = "1 MiB"
"""


class Descriptions(unittest.TestCase):
    """Changes one thing of a good description, and looks at the error."""

    def setUp(self):
        self.directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.directory)
        self.build = testing.make_build(os.path.join(self.directory, "build"))
        self.path = os.path.join(self.directory, "x.toml")

    def compose(self, text, *options):
        """Composes a description; returns the sentence."""
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(text)
        return cli.compose(cli.parse([self.path, "--build", self.build, *options]))

    def error_of(self, text, *options):
        """The lines of the error."""
        with self.assertRaises(DescriptionError) as caught:
            self.compose(text, *options)
        return str(caught.exception).replace(self.directory + "/", "")

    def refused(self, old, new, line, *words, text=GOOD):
        """Replacing old by new gives an error at line with these words; a check before the build finds it too."""
        self.assertIn(old, text)
        changed = text.replace(old, new, 1)
        for options in ((), ("--check",)):
            error = self.error_of(changed, *options)
            self.assertIn(f"x.toml:{line}: ", error)
            for word in words:
                self.assertIn(word, error)

    def test_good_description_is_composed(self):
        self.assertIn("5 servers, 2 VMs", self.compose(GOOD))

    def test_good_description_has_no_mistakes_before_the_build(self):
        shutil.rmtree(os.path.join(self.build, "servers"))
        self.assertIn("no mistakes", self.compose(GOOD, "--check"))

    def test_syntax_error_names_its_line(self):
        self.refused("cpus = 2", "cpus = = 2", 4, "no TOML")

    def test_missing_file_of_description(self):
        with self.assertRaises(DescriptionError) as caught:
            cli.compose(cli.parse(["nowhere.toml", "--build", self.build]))
        self.assertIn("nowhere.toml: cannot be read", str(caught.exception))

    def test_binary_description(self):
        with open(self.path, "wb") as file:
            file.write(b"\xff\xfe")
        with self.assertRaises(DescriptionError):
            cli.compose(cli.parse([self.path, "--build", self.build]))

    def test_build_directory_that_is_not_configured(self):
        os.remove(os.path.join(self.build, "products.txt"))
        self.assertIn("init-build.sh", self.error_of(GOOD))

    def test_unknown_key_with_the_nearest_one(self):
        self.refused("cpus = 2", "cpuz = 2", 4, "unknown key 'cpuz'", "did you mean 'cpus'")

    def test_unknown_key_in_a_subtable(self):
        self.refused("heap = ", "hype = ", 30, "unknown key 'hype'")

    def test_unknown_table(self):
        self.refused("[mca]", "[mcb]", 9, "unknown table 'mcb'", "did you mean 'mca'")

    def test_two_mistakes_are_shown_together(self):
        text = GOOD.replace("cpus = 2", "cpuz = 2").replace("slots", "slotz")
        error = self.error_of(text)
        self.assertIn("x.toml:4: ", error)
        self.assertIn("x.toml:16: ", error)

    def test_missing_name(self):
        self.refused('name = "linux-2"\n', "", 24, "'name' is missing")

    def test_missing_kernel(self):
        self.refused('kernel = "${BUILD}/guest-linux/vmlinuz"\ninitrd', "initrd", 18,
                     "'kernel' is missing")

    def test_single_table_where_an_array_belongs(self):
        self.refused("[[server]]", "[server]", 12, "[[server]]")

    def test_array_where_a_table_belongs(self):
        self.refused("[console]", "[[console]]", 6, "[console]")

    def test_number_for_a_size(self):
        self.refused('memory = "1 GiB"', "memory = 1024", 3, "KiB, MiB, GiB")

    def test_size_without_known_unit(self):
        self.refused('"1 GiB"', '"1 GB"', 3, "KiB, MiB, GiB")

    def test_size_that_is_no_multiple(self):
        self.refused('"256 MiB"', '"3 MiB"', 20, "multiple of 2 MiB")

    def test_size_out_of_range(self):
        self.refused('"1 GiB"', '"2 MiB"', 3, "64 MiB..64 GiB")

    def test_string_for_a_number(self):
        self.refused("cpus = 2", 'cpus = "2"', 4, "whole number")

    def test_flag_for_a_number(self):
        self.refused("cpus = 2", "cpus = true", 4, "whole number")

    def test_number_out_of_range(self):
        self.refused("priority = 50", "priority = 64", 10, "1..63")

    def test_string_for_a_flag(self):
        self.refused("priority = 50", 'enabled = "no"', 10, "true or false")

    def test_unknown_policy(self):
        self.refused('name = "linux-1"', 'name = "linux-1"\npolicy = "ignore"', 20, '"inject", "kill", "restart"')

    def test_unknown_grant(self):
        self.refused('["memory"]', '["memroy"]', 14, '"memory"')

    def test_grant_named_twice(self):
        self.refused('["memory"]', '["memory", "memory"]', 14, "twice")

    def test_grants_that_are_no_list(self):
        self.refused('["memory"]', '"memory"', 14, "must be a list")

    def test_name_that_is_too_long(self):
        self.refused('"linux-1"', '"linux-number-one"', 19, "at most 11")

    def test_name_with_other_characters(self):
        self.refused('"linux-1"', '"Linux 1"', 19, "lower-case")

    def test_reserved_name(self):
        self.refused('"linux-1"', '"root"', 19, "reserved")

    def test_two_vms_of_one_name(self):
        self.refused('"linux-2"', '"linux-1"', 25, "is taken", "line 19")

    def test_server_named_like_a_vm(self):
        self.refused('"linux-2"', '"tests"', 25, "is taken")

    def test_command_line_that_is_too_long(self):
        self.refused('name = "linux-1"', f'name = "linux-1"\ncmdline = "{"x" * 1024}"', 20,
                     "at most 1023")

    def test_arguments_that_are_too_long(self):
        self.refused("priority = 50", f'args = "{"x" * 240}"', 10, "at most 239")

    def test_serial_port_asked_for_twice(self):
        self.refused('["memory"]', '["memory", "serial"]', 14, "COM1", "'console'", "remove")

    def test_machine_check_asked_for_twice(self):
        self.refused('["memory"]', '["memory", "machine-check"]', 14, "machine-check", "mca-server")

    def test_serial_port_of_a_system_without_console(self):
        text = GOOD.replace("mode = ", "enabled = false\nmode = ").replace(
            '["memory"]', '["memory", "serial"]')
        self.assertIn("4 servers", self.compose(text))

    def test_memory_grant_without_amount(self):
        self.refused('untyped = "1 MiB"\n', "", 14, "go together")

    def test_amount_without_memory_grant(self):
        self.refused('grants = ["memory"]\n', "", 14, "go together")

    def test_too_few_slots_for_objects(self):
        self.refused("slots = 512", "slots = 256", 16, "slots")

    def test_too_few_slots_for_a_vmm_server(self):
        self.refused('heap = "1 MiB"', "slots = 128", 30, "256")

    def test_heap_that_would_overlap_the_stacks(self):
        self.refused('heap = "1 MiB"', 'heap = "512 MiB"', 30, "256 MiB")

    def test_stack_that_would_overlap_the_next(self):
        self.refused('heap = "1 MiB"', 'stack = "1 MiB"', 30, "stack", "1016 KiB")

    def test_cpu_that_no_machine_has(self):
        self.refused("priority = 50", "cpu = 64", 10, "0..63")
        self.refused('name = "linux-1"', 'name = "linux-1"\ncpu = -1', 20, "0..63")
        self.refused("cpus = 2", "cpus = 65", 4, "1..64")

    def test_vmm_server_on_another_cpu_than_its_vm(self):
        self.refused('heap = "1 MiB"', "cpu = 2", 30, "CPU 2", "'linux-2' on CPU 1", "share one CPU")

    def test_vmm_server_below_its_guest(self):
        self.refused('heap = "1 MiB"', "priority = 16", 24, "higher")

    def test_budget_above_its_period(self):
        self.refused("priority = 50", "budget_us = 10", 10, "period")

    def test_console_mode_of_another_kind(self):
        self.refused('mode = "all"', 'mode = "some"', 7, '"raw:VM"')

    def test_console_mode_with_an_unknown_vm(self):
        self.refused('mode = "all"', 'mode = "raw:linux-3"', 7, "linux-1, linux-2")

    def test_more_memory_than_there_is(self):
        self.refused('"256 MiB"', '"1 GiB"', 20, "linux-1", "[system] memory is 1 GiB")

    def test_more_memory_in_sum_than_there_is(self):
        self.refused('memory = "256 MiB"\nkernel = "${BUILD}/guest-linux/vmlinuz"\n\n',
                     'memory = "800 MiB"\nkernel = "${BUILD}/guest-linux/vmlinuz"\n\n', 26, "linux-2")

    def test_too_many_vms(self):
        more = "".join(f'[[vm]]\nname = "n{i}"\nmemory = "2 MiB"\nkernel = "k"\n' for i in range(7))
        error = self.error_of(GOOD + more)
        self.assertIn("9 VMs; at most 8", error)

    def test_too_many_servers(self):
        more = "".join(f'[[server]]\nname = "s{i}"\nelf = "tests"\n' for i in range(30))
        error = self.error_of(GOOD + more)
        self.assertIn("at most 32", error)
        self.assertIn("channels", error)

    def test_no_server_at_all(self):
        text = '[system]\nname = "x"\n[console]\nenabled = false\n[mca]\nenabled = false\n'
        self.assertIn("x.toml:1: this system has no server", self.error_of(text))

    def test_kernel_that_does_not_exist(self):
        self.refused("guest-linux/vmlinuz", "guest-linux/vmlinux", 21, "does not exist")

    def test_initrd_that_does_not_exist(self):
        self.refused("${BUILD}/guest-linux/initrd.img", "/nowhere/initrd", 22, "/nowhere/initrd does not exist")

    def test_server_that_nobody_builds(self):
        self.refused('name = "tests"', 'name = "tests"\nelf = "tsets"', 14, "no server tsets", "console")

    def test_product_that_is_not_built_yet(self):
        os.remove(os.path.join(self.build, "servers/console.elf"))
        error = self.error_of(GOOD)
        self.assertIn("not built yet; run ninja", error)
        self.assertIn("no mistakes", self.compose(GOOD, "--check"))

    def put(self, name, data):
        """Replaces a file of the build."""
        with open(os.path.join(self.build, name), "wb") as file:
            file.write(data)

    def bad_server(self, data, words):
        """A console that is of no use."""
        self.put("servers/console.elf", data)
        self.assertRegex(self.error_of(GOOD), r"x\.toml:6: .*console\.elf .*" + words)

    def test_server_that_is_no_elf(self):
        self.bad_server(b"#!/bin/sh\n" * 100, "no ELF")

    def test_server_of_another_machine(self):
        self.bad_server(testing.elf64(0x401000, [], machine=3), "no 64-bit x86")

    def test_server_that_is_position_independent(self):
        self.bad_server(testing.elf64(0x1000, [], kind=3), "fixed addresses")

    def test_server_that_is_cut_off(self):
        self.bad_server(testing.server_elf()[:150], "cut off")

    def test_server_that_is_dynamically_linked(self):
        self.bad_server(testing.elf64(0x401000, [], interpreter=True), "dynamically linked")

    def test_server_without_segments(self):
        self.bad_server(testing.elf64(0x401000, []), "no segment")

    def test_server_with_writable_code(self):
        self.bad_server(testing.elf64(0x401000, [(0x401000, 0, b"x", 1, 7)]), "writable and executable")

    def test_server_with_overlapping_segments(self):
        self.bad_server(testing.elf64(0x401000, [(0x401000, 0, b"x", 1, 5), (0x401800, 0, b"y", 1, 6)]),
                        "overlapping")

    def test_server_that_overlaps_its_own_windows(self):
        self.bad_server(testing.elf64(0x401000, [(0x401000, 0, b"x", 0x10000000, 5)]), "overlapping")

    def test_server_whose_entry_is_not_code(self):
        self.bad_server(testing.elf64(0x500000, [(0x401000, 0, b"x", 1, 5)]), "entry")

    def test_guest_kernel_of_unknown_kind(self):
        self.put("guest-linux/vmlinuz", b"text" * 1000)
        self.assertRegex(self.error_of(GOOD), r"x\.toml:21: .*neither a Linux bzImage nor an ELF")

    def test_given_files_of_the_wrong_kind_are_found_before_the_build(self):
        given = os.path.join(self.directory, "given")
        with open(given, "w", encoding="utf-8") as file:
            file.write("text\n" * 1000)
        self.refused('"${BUILD}/guest-linux/vmlinuz"', f'"{given}"', 21, "neither a Linux bzImage")
        self.refused('name = "tests"', f'name = "tests"\nelf = "{given}"', 14, "is no ELF file")
        self.refused('name = "good"', f'name = "good"\nkernel = "{given}"', 3, "is no ELF file", text=GOOD)
        with open(given, "wb") as file:
            file.write(testing.bzimage(2 << 20))
        self.refused('"${BUILD}/guest-linux/vmlinuz"', f'"{given}"', 20, "would overlap",
                     text=GOOD.replace('"256 MiB"', '"2 MiB"', 1))

    def test_initrd_for_an_elf_payload(self):
        text = GOOD.replace("guest-linux/vmlinuz", "guests/nano.elf", 1)
        self.assertRegex(self.error_of(text), r"x\.toml:22: only a Linux kernel takes an initrd")

    def test_payload_that_does_not_fit_its_vm(self):
        text = GOOD.replace('"256 MiB"', '"2 MiB"', 1)
        self.put("guest-linux/initrd.img", bytes(2 << 20))
        self.assertRegex(self.error_of(text), r"x\.toml:20: .*overlap")

    def test_override_of_a_value(self):
        self.assertIn("5 servers", self.compose(GOOD, "--set", "vm.linux-1.policy=kill", "--set",
                                                "system.cpus=3", "--set", "vm.linux-1.cmdline+= x"))

    def test_override_with_a_mistake(self):
        self.assertIn("--set: unknown key 'cpuz'", self.error_of(GOOD, "--set", "system.cpuz=3"))
        self.assertIn("no vm named 'x'", self.error_of(GOOD, "--set", "vm.x.policy=kill"))
        self.assertIn("KEY=VALUE", self.error_of(GOOD, "--set", "nothing"))
        self.assertIn("is no table", self.error_of(GOOD, "--set", "system.name.x=1"))


if __name__ == "__main__":
    unittest.main()
