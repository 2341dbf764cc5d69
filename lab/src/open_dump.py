"""Opens a dump with drgn and compares it with what is known of the crashed machine.

Arguments: the kernel with debug information, the dump, what is known as JSON
(`Crash`, qemu-runner/src/readers.rs), and the build id of that kernel. Prints what it found.
Exit status 1: something is missing.
"""

import json
import sys

from drgn import FaultError, Program
from drgn.helpers.linux.cpumask import for_each_online_cpu
from drgn.helpers.linux.mm import access_process_vm, follow_phys, for_each_vma
from drgn.helpers.linux.pid import for_each_task
from drgn.helpers.linux.sched import cpu_curr

PAGE = 4096
MASK = (1 << 64) - 1


def pattern(seed):
    """The page of this seed: SplitMix64, as in tests/sentinel."""
    words = []
    for _ in range(PAGE // 8):
        seed = (seed + 0x9E3779B97F4A7C15) & MASK
        mixed = ((seed ^ (seed >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & MASK
        words.append((mixed ^ (mixed >> 31)).to_bytes(8, "little"))
    return b"".join(words)


def expect(what, holds, found):
    print(f"{'ok' if holds else 'MISSING'}: {what}: {found}")
    return holds


def build_id(prog, wanted):
    key = "BUILD-ID="
    lines = prog["VMCOREINFO"].string_().decode().splitlines()
    found = [line.removeprefix(key) for line in lines if line.startswith(key)]
    return expect("the symbols are the crashed kernel's, by its build id", found == [wanted], found)


def crashed_task(prog):
    thread = prog.crashed_thread()
    functions = [frame.name for frame in thread.stack_trace()]
    print(thread.stack_trace())
    return expect("the crashed task panicked", "sysrq_handle_crash" in functions, thread.name)


def stacks(prog, known):
    cpus = list(for_each_online_cpu(prog))
    depths = {}
    for cpu in cpus:
        task = cpu_curr(prog, cpu)
        # The spinner was stopped in user space, so it has no stack in the kernel.
        depths[cpu] = len(prog.stack_trace(task)) or task.pid.value_()
    holds = len(cpus) == known["cpus"] and all(depths.values())
    return expect("every CPU has a stack", holds, depths)


def hot_added_cpu(prog, known):
    task = cpu_curr(prog, known["cpu"])
    frame = prog.stack_trace(task)[0]
    first, end = known["text"]
    holds = task.pid.value_() == known["spinner"] and first <= frame.pc < end
    found = f"process {task.pid.value_()} at {frame.pc:#x}"
    return expect("the hot-added CPU ran the spinner, in user space", holds, found)


def sentinel(prog, known):
    wanted = pattern(known["seed"])
    tasks = [task for task in for_each_task(prog) if task.comm.string_() == b"sentinel"]
    for task in tasks:
        for vma in for_each_vma(task.mm):
            start, end = vma.vm_start.value_(), vma.vm_end.value_()
            # Writable memory without a file.
            if vma.vm_file or not vma.vm_flags & 2:
                continue
            for address in range(start, end, PAGE):
                try:
                    page = access_process_vm(task, address, PAGE)
                except FaultError:
                    # Never touched, or swapped out.
                    continue
                if page == wanted:
                    physical = follow_phys(task.mm, address).value_()
                    holds = physical == known["sentinel"]
                    found = f"at {address:#x}, physical {physical:#x}"
                    return expect("the sentinel, by its virtual address", holds, found)
    return expect("the sentinel, by its virtual address", False, f"in none of {len(tasks)} tasks")


def main():
    vmlinux, dump, known, symbols = sys.argv[1:]
    known = json.loads(known)
    prog = Program()
    prog.set_core_dump(dump)
    prog.load_debug_info([vmlinux])
    holds = [
        build_id(prog, symbols),
        crashed_task(prog),
        stacks(prog, known),
        hot_added_cpu(prog, known),
        sentinel(prog, known),
    ]
    return 0 if all(holds) else 1


if __name__ == "__main__":
    sys.exit(main())
