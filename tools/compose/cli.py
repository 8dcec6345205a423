# SPDX-License-Identifier: BSD-2-Clause
"""The composer's command line."""

import argparse
import json
import os
import sys

from . import image, iso, model, schema
from .errors import DescriptionError
from .source import Document

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def parse(arguments):
    """The command line as an object."""
    parser = argparse.ArgumentParser(
        prog="tools/compose", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Checks a system description and composes kernel, servers and payloads into "
        "one bootable image.",
        epilog="keys of a description:\n" + schema.help_text())
    parser.add_argument("description", help="systems/NAME.toml")
    parser.add_argument("--build", default=os.path.join(TOP, "build", "debug"), metavar="DIR",
                        help="the build directory; ${BUILD} in a description (default: build/debug)")
    parser.add_argument("-o", "--output", metavar="FILE",
                        help="the image (default: DIR/images/NAME.elf)")
    parser.add_argument("--iso", metavar="FILE", help="also make a GRUB medium")
    parser.add_argument("--append", default="", metavar="TEXT",
                        help="the kernel's command line on the GRUB medium")
    parser.add_argument("--check", action="store_true",
                        help="check the description only; what ninja will make may be missing")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE",
                        help="override a value, as in system.cpus=2 or vm.linux-1.policy=kill; "
                        "KEY+=TEXT appends to a string")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    return parser.parse_args(arguments)


def read_products(build):
    """The files that the build directory's ninja makes; it must be configured."""
    path = os.path.join(build, "products.txt")
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().split()
    except OSError as error:
        raise DescriptionError([(build, 0, "is not configured; run ./init-build.sh in it")]) from error


def fingerprint(options, document, paths):
    """What the image depends on; equal fingerprints mean an equal image."""
    own = os.path.dirname(os.path.abspath(__file__))
    inputs = [os.path.join(own, name) for name in sorted(os.listdir(own)) if name.endswith(".py")]
    inputs += sorted(set(paths))
    stamps = []
    for path in inputs:
        status = os.stat(path)
        stamps.append([path, status.st_size, status.st_mtime_ns])
    return {"description": document.data, "append": options.append, "inputs": stamps}


def is_current(output, stamp):
    """Whether output was made from exactly this."""
    try:
        with open(output + ".stamp", encoding="utf-8") as file:
            return os.path.exists(output) and json.load(file) == stamp
    except (OSError, ValueError):
        return False


def write(path, data):
    """Replaces a file as a whole, so that nobody sees half of it."""
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    partial = f"{path}.{os.getpid()}.partial"
    with open(partial, "wb") as file:
        file.write(data)
    os.replace(partial, path)


def write_stamp(path, stamp):
    """Records what an output was made from."""
    write(path + ".stamp", json.dumps(stamp, default=str).encode())


def compose(options):
    """Does what the command line asks for; returns a sentence."""
    build = os.path.abspath(options.build)
    document = Document.read(options.description)
    for assignment in options.set:
        document.override(assignment)
    paths = model.Paths(build, TOP, options.description)
    system = model.build_model(document, paths)
    products = read_products(build)
    model.check_given_files(system, document, build, products)
    name = system.system["name"]
    if options.check:
        return f"{options.description}: no mistakes found"
    output = options.output or os.path.join(build, "images", f"{name}.elf")
    missing = [file for file in system.files() if not os.path.isfile(file.path)]
    stamp = None if missing else fingerprint(options, document,
                                             [file.path for file in system.files()])
    sentence = f"{output} is up to date"
    if stamp is None or not is_current(output, stamp):
        model.read_files(system, document, build, products)
        blob = image.build_blob(system)
        model.check_image_memory(system, document, len(blob))
        data = image.build_image(system, blob)
        write(output, data)
        write_stamp(output, stamp)
        sentence = (f"{output}: {len(system.servers)} servers, {len(system.vms)} VMs, "
                    f"{len(data) / (1 << 20):.1f} MiB")
    if options.iso and not is_current(options.iso, stamp):
        iso.make_iso(output, options.iso, name, options.append)
        write_stamp(options.iso, stamp)
        sentence += f"\n{options.iso}"
    return sentence


def main(arguments):
    """Returns the exit status."""
    options = parse(arguments)
    try:
        sentence = compose(options)
    except DescriptionError as error:
        print(error, file=sys.stderr)
        return 1
    if not options.quiet:
        print(sentence)
    return 0
