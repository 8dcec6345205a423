# SPDX-License-Identifier: BSD-2-Clause
"""Two VMs, each with its own vmm-server: one crashes or powers off, and the other goes on."""

from simulate.console import Unexpected

from .stage import STEP, Stage

SUMMARY = "two Linux VMs: one crashes, or powers off, and the other goes on without a gap"
CPUS = ("intel", "amd")
EMULATORS = ("qemu", "bochs")
PLAIN = ("vm.linux-1.cmdline+= cairn.shell=plain", "vm.linux-2.cmdline+= cairn.shell=plain")


def own_servers(stage: Stage) -> None:
    """Each VM is served by the vmm-server of its name, and by no other."""
    for vm in ("linux-1", "linux-2"):
        match, _ = stage.out.wait_for(rf"^(vmm-\S+): VM {vm}: started", "system", 0, STEP, f"{vm}'s vmm-server")
        if match[1] != f"vmm-{vm}":
            raise Unexpected(f"{vm} is served by {match[1]}, not by vmm-{vm}")
        stage.forbid(rf"^(?!vmm-{vm}:)vmm-\S+: VM {vm}\b", "system", why=f"{vm} has a vmm-server of its own")
        stage.say(f"{vm} has a vmm-server of its own, {match[1]}")


def start(stage: Stage) -> None:
    stage.start("two-linux", *PLAIN, variant="-plain")
    for vm in ("linux-1", "linux-2"):
        stage.ready(vm)
    own_servers(stage)
    for vm in ("linux-1", "linux-2"):
        stage.start_bystander(vm)


def crash(stage: Stage) -> None:
    start(stage)
    position = stage.out.position()
    stage.out.expect("Kernel panic")
    stage.out.type("linux-1", "echo c > /proc/sysrq-trigger")
    stage.out.wait_for(r"Kernel panic - not syncing: sysrq triggered crash", "linux-1", position, STEP)
    stage.say("linux-1 crashed")
    stage.bystander_goes_on("linux-2", 10)
    if "answer-42" not in stage.shell("linux-2", "echo answer-$((6 * 7))"):
        raise Unexpected("linux-2's shell does not answer")
    stage.say("linux-2's shell answers")


def power_off(stage: Stage) -> None:
    start(stage)
    position = stage.out.position()
    stage.out.type("linux-1", "poweroff -f")
    stage.out.wait_for(r"vm linux-1\b.*(powered off|power.?off)", "system", position, STEP)
    stage.say("linux-1 powered off")
    stage.bystander_goes_on("linux-2", 10)
    stage.out.type("linux-2", "poweroff -f")
    match, _ = stage.out.wait_for(r"system: ended \((.*)\)", None, position, STEP)
    stage.say(match[0])
    if not stage.out.wait_end(STEP) or stage.machine.wait(STEP) != 1:
        raise Unexpected("the system did not end cleanly after both VMs had")


def run(stage: Stage) -> None:
    crash(stage)
    power_off(stage)
