# SPDX-License-Identifier: BSD-2-Clause
"""Policy `kill`: the VM that loses a page is stopped, with a clear message; the other goes on."""

from simulate.console import Unexpected

from .mce import HIT, injected, other_never_noticed, start
from .stage import STEP, Stage

SUMMARY = "policy kill: the VM that loses a page is stopped with a clear message, the other goes on; three times"
CPUS = ("intel", "amd")


def kill_once(stage: Stage, mode: str) -> None:
    start(stage, f"vm.{HIT}.policy=kill", variant="-kill")
    victim = stage.start_victim(HIT, mode, "kill")
    spa = stage.system_physical(HIT, victim.gpa)
    stage.at_random()
    begin = stage.out.position()
    stage.inject("srar", spa)
    record = stage.record(spa, begin)
    match, end = stage.out.wait_for(rf"vm {HIT} killed: .*", "system", begin, STEP, f"the message that {HIT} was killed")
    stage.say(f"{match[0]}; interrupted: {record.context}")
    other_never_noticed(stage)
    if list(injected(stage)):
        raise Unexpected("a virtual machine check was injected, although the policy is kill")
    # What the console had still to print may follow the message; after the other VM's next steps nothing may.
    later = stage.out.position()
    stage.bystander_goes_on("linux-2", 10)
    if stage.out.texts(HIT, later):
        raise Unexpected(f"{HIT} goes on although it was killed: {stage.out.texts(HIT, later)[0]!r}")
    stage.say(f"{HIT} is silent")


def run(stage: Stage) -> None:
    for mode in ("spin", "exit", "sleep"):
        kill_once(stage, mode)
    stage.say_contexts()
