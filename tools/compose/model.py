# SPDX-License-Identifier: BSD-2-Clause
"""The servers and VMs that a description asks for, with what only all of them together can get wrong."""

import os
from dataclasses import dataclass

from . import abi, elf
from .errors import Mistakes
from .schema import KIB, MIB, GRANTS, VMM_PREFIX, read_description, show_size

BZIMAGE_MAGIC_OFFSET, BZIMAGE_MAGIC = 0x202, b"HdrS"
# Guest RAM below which a kernel and an initrd cannot both lie; the first 1 MiB stays free of both.
GUEST_LOW = MIB
# Page tables, CapTables and the like of one server (an upper bound that need not be exact).
SERVER_OVERHEAD = 256 * KIB
# At most one owner each.
EXCLUSIVE = {abi.GRANT_SERIAL: "the serial port COM1",
             abi.GRANT_MACHINECHECK: "the machine-check records"}


@dataclass
class File:
    """An input: where it was asked for, and (once it was read) its bytes."""
    path: str
    where: tuple
    data: bytes = None


@dataclass
class Server:
    """One server: values as in its table, plus what follows from its kind."""
    values: dict
    where: tuple
    name: str
    role: int
    vm: int
    handlers: int
    grants: int
    untyped: int
    args: str
    ceiling: int
    file: File


@dataclass
class Vm:
    """One VM."""
    values: dict
    where: tuple
    name: str
    kernel: File
    initrd: File
    payload: int = abi.PAYLOAD_LINUX


@dataclass
class Model:
    """A whole system."""
    system: dict
    servers: list
    vms: list
    succor_override: bool
    end_when_idle: bool
    root: File
    kernel: File

    def files(self):
        """All inputs."""
        found = [self.kernel, self.root] + [server.file for server in self.servers]
        for vm in self.vms:
            found += [vm.kernel] + ([vm.initrd] if vm.initrd else [])
        return found


class Paths:
    """Resolves the names of files: ${BUILD}, ${SOURCE}, absolute, or relative to the description."""

    def __init__(self, build, source, description):
        self.build, self.source = os.path.abspath(build), os.path.abspath(source)
        self.base = os.path.dirname(os.path.abspath(description))

    def resolve(self, text):
        """The path of a payload."""
        text = text.replace("${BUILD}", self.build).replace("${SOURCE}", self.source)
        return os.path.normpath(os.path.join(self.base, text))

    def resolve_server(self, text):
        """The path of a server's ELF: a bare word names what cairn_server() built."""
        if "/" not in text:
            text = f"${{BUILD}}/servers/{text.removesuffix('.elf')}.elf"
        return self.resolve(text)


def build_model(document, paths):
    """Reads and checks all that needs no file; raises DescriptionError."""
    mistakes = Mistakes(document)
    tables = read_description(document, mistakes)
    # Names, sizes and types first: the rest of the checks rely on them.
    mistakes.raise_if_any()
    vms = [_make_vm(values, index, paths) for index, values in enumerate(tables["vm"])]
    servers = _make_servers(tables, vms, paths)
    system = tables["system"]
    end = system["end"]
    model = Model(system, servers, vms, tables["mca"]["succor_override"],
                  bool(vms) if end is None else bool(end),
                  File(paths.resolve_server(system["root"]), ("system", "root")),
                  File(paths.resolve(system["kernel"]), ("system", "kernel")))
    _check_names(model, mistakes)
    _check_counts(model, mistakes)
    _check_grants(model, mistakes)
    _check_cpus(model, mistakes)
    _check_times(model, mistakes)
    _check_console(tables, model, mistakes)
    _check_memory(model, mistakes)
    mistakes.raise_if_any()
    return model


def _make_vm(values, index, paths):
    where = ("vm", index)
    if values["cpu"] is None:
        values["cpu"] = index
    initrd = File(paths.resolve(values["initrd"]), where + ("initrd",)) if values["initrd"] else None
    return Vm(values, where, values["name"],
              File(paths.resolve(values["kernel"]), where + ("kernel",)), initrd)


def _make_servers(tables, vms, paths):
    """Console, mca-server, the description's own servers, then one vmm-server for each VM."""
    servers = []

    def add(values, where, name, default_elf, role, **others):
        file = File(paths.resolve_server(values["elf"] or default_elf), where + ("elf",))
        fields = {"vm": abi.SYSTEM_NONE, "handlers": 0, "grants": 0, "untyped": 0,
                  "args": values["args"], "ceiling": 0}
        fields.update(others)
        servers.append(Server(values, where, name, role, file=file, **fields))

    console = tables["console"]
    if console["enabled"]:
        mode = console["mode"] or (f"raw:{vms[0].name}" if len(vms) == 1 else "all")
        add(console, ("console",), "console", "console", abi.ROLE_CONSOLE,
            grants=abi.GRANT_SERIAL | abi.GRANT_ROOT_SERVICE,
            args=f"mode={mode} {console['args']}".strip())
    if tables["mca"]["enabled"]:
        add(tables["mca"], ("mca",), "mca-server", "mca-server", abi.ROLE_MCA,
            grants=abi.GRANT_MACHINECHECK | abi.GRANT_ROOT_SERVICE)
    for index, values in enumerate(tables["server"]):
        add(values, ("server", index), values["name"], values["name"], abi.ROLE_APP,
            handlers=values["handlers"], grants=values["grants"], untyped=values["untyped"],
            ceiling=values["priority"] if values["ceiling"] is None else values["ceiling"])
    for index, vm in enumerate(vms):
        if vm.values["server"]["cpu"] is None:
            vm.values["server"]["cpu"] = vm.values["cpu"]
        add(vm.values["server"], vm.where + ("server",), VMM_PREFIX + vm.name, "vmm-server",
            abi.ROLE_VMM, vm=index, handlers=vm.values["vcpus"])
    return servers


def _check_names(model, mistakes):
    seen = {}
    own = [server for server in model.servers if server.role != abi.ROLE_VMM]
    made = [server for vm, server in _vmm_servers(model)
            if [other.name for other in model.vms].count(vm.name) == 1]
    for thing in own + model.vms + made:
        if thing.name in seen:
            line = mistakes.document.place(seen[thing.name])[1]
            mistakes.add(thing.where + ("name",),
                         f"the name '{thing.name}' is taken (line {line}); choose another")
        else:
            seen[thing.name] = thing.where + ("name",)


def _check_counts(model, mistakes):
    if len(model.vms) > abi.SYSTEM_VMS:
        mistakes.add(("vm", abi.SYSTEM_VMS),
                     f"{len(model.vms)} VMs; at most {abi.SYSTEM_VMS} fit: remove some")
    if len(model.servers) > abi.SYSTEM_SERVERS:
        mistakes.add(("server", 0), f"{len(model.servers)} servers (vmm-servers included); at most "
                     f"{abi.SYSTEM_SERVERS} fit: remove some")
    # The console has one log channel for each server and the root-task, and one terminal for each VM.
    channels = len(model.servers) + 1 + len(model.vms)
    if channels > abi.SERVER_CHANNELS:
        mistakes.add(("console",), f"the console would need {channels} channels; it has "
                     f"{abi.SERVER_CHANNELS}: remove servers or VMs")
    if not model.servers:
        mistakes.add(("system",), "this system has no server at all; add a [[vm]] or a [[server]]")
    for server in model.servers:
        if server.role == abi.ROLE_VMM and server.values["slots"] < abi.SEL_FREE:
            mistakes.add(server.where + ("slots",), f"slots is {server.values['slots']}; a "
                         f"vmm-server needs at least {abi.SEL_FREE} for its exit tables")
        elif server.grants & abi.GRANT_MEMORY and server.values["slots"] <= abi.SEL_FREE:
            mistakes.add(server.where + ("slots",), f"slots is {server.values['slots']}, but what "
                         f"'{server.name}' makes of its memory goes into slots from "
                         f"{abi.SEL_FREE} on; set slots to more")


def _check_grants(model, mistakes):
    owner = {}
    for server in model.servers:
        for bit, what in EXCLUSIVE.items():
            if not server.grants & bit:
                continue
            if bit in owner:
                word = next(word for word, value in GRANTS.items() if value == bit)
                mistakes.add(server.where + ("grants",), f"'{server.name}' and "
                             f"'{owner[bit].name}' both ask for {what}, and only one server can "
                             f'have it; remove "{word}" here, or that server')
            else:
                owner[bit] = server
        if bool(server.grants & abi.GRANT_MEMORY) != bool(server.untyped):
            mistakes.add(server.where + ("untyped" if server.untyped else "grants",),
                         f"'{server.name}': grant \"memory\" and untyped = \"SIZE\" go together; "
                         "give both or neither")


def _check_cpus(model, mistakes):
    for vm, server in _vmm_servers(model):
        if server.values["cpu"] != vm.values["cpu"]:
            mistakes.add(server.where + ("cpu",), f"the vmm-server is on CPU "
                         f"{server.values['cpu']}, but its VM '{vm.name}' on CPU "
                         f"{vm.values['cpu']}; a VM and its vmm-server share one CPU: set cpu in "
                         "[[vm]] only")


def _vmm_servers(model):
    return [(model.vms[server.vm], server) for server in model.servers
            if server.role == abi.ROLE_VMM]


def _check_times(model, mistakes):
    for thing in model.servers + model.vms:
        budget, period = thing.values["budget_us"], thing.values["period_us"]
        if budget > period or (period and not budget):
            mistakes.add(thing.where + ("budget_us",), f"'{thing.name}': budget_us = {budget} and "
                         f"period_us = {period}; the budget must be at least 1 and at most the "
                         "period, or both 0 (no limit)")
    for vm, server in _vmm_servers(model):
        if server.values["priority"] <= vm.values["priority"]:
            mistakes.add(vm.where + ("priority",), f"the vCPUs of '{vm.name}' have priority "
                         f"{vm.values['priority']} and its vmm-server {server.values['priority']}; "
                         "the server's must be higher, or a spinning guest keeps it from running")


def _check_console(tables, model, mistakes):
    mode = tables["console"]["mode"]
    if not mode or mode == "all":
        return
    names = [vm.name for vm in model.vms]
    if not mode.startswith("raw:"):
        mistakes.add(("console", "mode"), f'mode is "{mode}"; write "all" or "raw:VM"')
    elif mode[4:] not in names:
        mistakes.add(("console", "mode"), f"mode names VM '{mode[4:]}', which does not exist; "
                     f"the VMs are {', '.join(names) or 'none'}")


def server_memory(server):
    """An upper bound of what one server takes besides its ELF."""
    values = server.values
    threads = 1 + server.handlers
    return (values["heap"] + threads * (values["stack"] + 2 * abi.PAGE_SIZE_4K) + server.untyped +
            3 * abi.CHANNEL_SIZE + SERVER_OVERHEAD)


def _check_memory(model, mistakes, image_size=0):
    """All RAM that is promised must be there."""
    parts = [("the kernel's part", abi.IMAGE_PHYS, ("system", "memory")),
             ("the reserve", model.system["reserve"], ("system", "reserve"))]
    if image_size:
        parts.append(("the image", image_size, ("system", "memory")))
    parts += [(f"VM '{vm.name}'", vm.values["memory"], vm.where + ("memory",)) for vm in model.vms]
    parts += [(f"server '{server.name}'", server_memory(server), server.where)
              for server in model.servers]
    total, limit = 0, model.system["memory"]
    for what, size, where in parts:
        total += size
        if total > limit:
            mistakes.add(where, f"{what} needs {show_size(size)}, of which {show_size(total - limit)}"
                         f" are too much: [system] memory is {show_size(limit)}; give the machine "
                         "more, or the VMs less")
            return


def check_image_memory(model, document, image_size):
    """The same check once more when the size of the image is known."""
    mistakes = Mistakes(document)
    _check_memory(model, mistakes, image_size)
    mistakes.raise_if_any()


def check_given_files(model, document, build, products):
    """Before a build: what it will not make (products.txt) must be there, and of the right kind."""
    mistakes = Mistakes(document)
    given = [file for file in model.files() if os.path.relpath(file.path, build) not in products]
    for file in _distinct(given):
        if not os.path.isfile(file.path):
            _missing(file, mistakes, build, products)
    mistakes.raise_if_any()
    _read(given, mistakes, build, products)
    mistakes.raise_if_any()
    if model.kernel.data is not None:
        _check_elf(model.kernel, mistakes, elf.physical_entry)
    _check_contents(model, mistakes)
    mistakes.raise_if_any()


def _distinct(files):
    seen = {}
    for file in files:
        seen.setdefault((file.path, file.where), file)
    return seen.values()


def _missing(file, mistakes, build, products):
    inside = os.path.relpath(file.path, build)
    if inside in products:
        mistakes.add(file.where, f"{file.path} is not built yet; run ninja in {build}")
    elif inside.startswith("servers/"):
        names = [product[len("servers/"):-len(".elf")] for product in products
                 if product.startswith("servers/")]
        mistakes.add(file.where, f"there is no server {inside[len('servers/'):-len('.elf')]} "
                     f"({file.path}); this build makes {', '.join(names) or 'none'}")
    else:
        mistakes.add(file.where, f"the file {file.path} does not exist; correct the path or "
                     "build it first")


def read_files(model, document, build, products):
    """Reads all inputs and checks what they are."""
    mistakes = Mistakes(document)
    _read(model.files(), mistakes, build, products)
    mistakes.raise_if_any()
    _check_contents(model, mistakes)
    mistakes.raise_if_any()


def _read(files, mistakes, build, products):
    contents = {}
    for file in files:
        if file.path not in contents:
            try:
                with open(file.path, "rb") as stream:
                    contents[file.path] = stream.read()
            except OSError:
                contents[file.path] = None
                _missing(file, mistakes, build, products)
        file.data = contents[file.path]


def _check_elf(file, mistakes, check):
    try:
        check(elf.read(file.data))
    except elf.BadElf as error:
        mistakes.add(file.where, f"{file.path} {error}")


def _check_contents(model, mistakes):
    """What files must be; one that was not read yet (the build makes it) is passed over."""
    for file, end in [(model.root, abi.ROOT_INFO_VA)] + [
            (server.file, abi.SERVER_INFO_VA) for server in model.servers]:
        if file.data is not None:
            _check_elf(file, mistakes, lambda program, end=end: elf.check_server(program, end))
    for vm in model.vms:
        if vm.kernel.data is not None:
            _check_payload(vm, mistakes)


def _check_payload(vm, mistakes):
    data = vm.kernel.data
    if data[BZIMAGE_MAGIC_OFFSET:BZIMAGE_MAGIC_OFFSET + 4] == BZIMAGE_MAGIC:
        vm.payload = abi.PAYLOAD_LINUX
    elif data[:4] == b"\x7fELF":
        vm.payload = abi.PAYLOAD_ELF
    else:
        mistakes.add(vm.kernel.where, f"{vm.kernel.path} is neither a Linux bzImage nor an ELF "
                     "file; name a kernel")
        return
    if vm.payload == abi.PAYLOAD_ELF and vm.initrd:
        mistakes.add(vm.initrd.where, "only a Linux kernel takes an initrd; remove it")
    size = len(data) + (len(vm.initrd.data) if vm.initrd and vm.initrd.data is not None else 0)
    if GUEST_LOW + size > vm.values["memory"]:
        mistakes.add(vm.where + ("memory",), f"kernel and initrd of '{vm.name}' ({show_size(-(-size // MIB) * MIB)}) "
                     f"would overlap in {show_size(vm.values['memory'])} of memory; give it more")
