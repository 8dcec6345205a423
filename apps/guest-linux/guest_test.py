# SPDX-License-Identifier: BSD-2-Clause
"""The initramfs is the same for the same input, and readable by cpio; apt's answers are understood."""

import pathlib
import stat
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import fetch_kernel  # pylint: disable=wrong-import-position
import make_initramfs  # pylint: disable=wrong-import-position


def archive():
    result = make_initramfs.Archive()
    result.file("bin/b", b"hello", 0o755)
    result.directory("bin")
    result.link("bin/a", "b")
    result.character_device("dev-console", 5, 1)
    return result


class Archives(unittest.TestCase):
    def test_the_order_of_additions_does_not_matter(self):
        other = make_initramfs.Archive()
        other.character_device("dev-console", 5, 1)
        other.link("bin/a", "b")
        other.directory("bin")
        other.file("bin/b", b"hello", 0o755)
        self.assertEqual(archive().data(), other.data())

    def test_cpio_reads_it(self):
        listing = subprocess.run(
            ["cpio", "-tv", "--quiet"], input=archive().data(), capture_output=True, check=True).stdout.decode()
        lines = listing.splitlines()
        self.assertEqual([line.split()[0][0] for line in lines], ["d", "l", "-", "c"])
        self.assertIn("bin/a -> b", lines[1])
        self.assertIn("1970", lines[2])
        self.assertIn("5,   1", lines[3])

    def test_headers_follow_the_format(self):
        entry = make_initramfs.newc_entry("a", stat.S_IFREG | 0o644, b"xyz", 3)
        self.assertEqual(entry[:6], b"070701")
        self.assertEqual(len(entry) % 4, 0)
        self.assertEqual(int(entry[6:14], 16), 3)
        self.assertEqual(int(entry[54:62], 16), 3)

    def test_programs_that_need_libraries_are_recognised(self):
        self.assertFalse(make_initramfs.is_static(pathlib.Path("/usr/bin/python3")))
        self.assertFalse(make_initramfs.is_static(pathlib.Path(__file__)))


class Packages(unittest.TestCase):
    def test_the_kernel_behind_the_meta_package(self):
        text = "linux-image-amd64\n  Depends: linux-image-6.1.0-56-amd64\n"
        self.assertEqual(fetch_kernel.image_package(text), "linux-image-6.1.0-56-amd64")

    def test_other_flavours_and_empty_lists_are_refused(self):
        for text in ("", "linux-image-amd64\n  Depends: linux-image-6.1.0-56-cloud-amd64\n"):
            with self.assertRaisesRegex(fetch_kernel.FetchError, "apt-get update"):
                fetch_kernel.image_package(text)


if __name__ == "__main__":
    unittest.main()
