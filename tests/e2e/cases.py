# SPDX-License-Identifier: MIT
"""The end-to-end cases: one table. A row says how the machine is started and which check of checks.py looks at it."""

import dataclasses

import channels
import checks
import firmware
import network
import seed
import share
import slots
import storage

ALL_OFF = ",pit=off,pic=off,rtc=off"


@dataclasses.dataclass(frozen=True)
class Case:
    name: str  # group/what
    check: callable
    machine: str = ""  # after "-M microvm"
    smp: int = 1
    mem: int = 512  # MiB
    append: str = ""
    args: tuple = ()
    cpus: int = 0  # what the guest should find; 0: smp
    serial: bool = True  # a console on COM1; without one the guest answers through isa-debug-exit
    stderr: str = ""  # for bad options: what the message holds
    kernel: str = ""  # "vmlinux" or "bzImage": the small kernel of guest/; "": the stock one
    disk: str = ""  # properties of a -drive with the root disk, which then stands for the initramfs


def boots():
    """The guest checks itself and powers off."""
    rows = [Case(f"boot/smp{n}", checks.selfcheck, smp=n) for n in (1, 2, 4)]
    rows += [Case(f"boot/mem{m}m", checks.selfcheck, mem=m)
             for m in (128, 256, 1024, 2048, 3072, 3584, 4096, 6144)]
    rows += [Case(f"boot/acpi-{a}", checks.selfcheck, machine=f",acpi={a}") for a in ("auto", "on")]
    rows += [
        # Without ACPI the cloud kernel finds no second CPU: it is built without MP tables.
        Case("boot/acpi-off", checks.selfcheck, machine=",acpi=off", append="reboot=t"),
        Case("boot/acpi-off-smp2", checks.selfcheck, machine=",acpi=off", append="reboot=t", smp=2, cpus=1),
        Case("boot/ioapic2-off", checks.selfcheck, machine=",ioapic2=off", smp=2),
        Case("boot/nox2apic", checks.selfcheck, append="nox2apic", smp=2),
        Case("boot/noxsave", checks.selfcheck, append="noxsave"),
        Case("boot/nopti-nokaslr", checks.selfcheck, append="nopti nokaslr mitigations=off"),
        Case("boot/pti", checks.selfcheck, append="pti=on"),
        Case("boot/vmlinux", checks.selfcheck_vmlinux),
        Case("boot/earlyprintk", checks.earlyprintk, append="earlyprintk=ttyS0"),
    ]
    return rows


def small():
    """The small kernel, which finds its devices on the command line: no ACPI, no PCI, PVH."""
    reboot = "reboot=t end=reboot"
    rows = [Case(f"small/{kernel}-smp{n}", checks.selfcheck, kernel=kernel, smp=n, append=reboot)
            for kernel, n in (("vmlinux", 1), ("vmlinux", 2), ("bzImage", 4))]
    rows += [Case(f"small/disk-{f}", checks.selfcheck, kernel="vmlinux", disk=f"format={f}", append=reboot)
             for f in ("raw", "qcow2")]
    rows += [
        Case("small/disk-threads", checks.selfcheck, kernel="bzImage", disk="aio=threads,cache=none", append=reboot),
        Case("small/disk-modern", checks.selfcheck, kernel="vmlinux", disk="format=raw", append=reboot,
             args=("-global", "virtio-mmio.force-legacy=false"), smp=2),
        Case("small/pit-pic-rtc-off", checks.selfcheck, kernel="vmlinux", machine=ALL_OFF, smp=2, append=reboot),
        Case("small/all-off", checks.selfcheck, kernel="vmlinux", machine=f"{ALL_OFF},isa-serial=off", serial=False),
        Case("small/mem3584m", checks.selfcheck, kernel="vmlinux", mem=3584, append=reboot),
    ]
    return rows


def networks():
    def row(name, check, *args, **more):
        return Case(f"net/{name}", check, kernel="vmlinux", args=args, **more)
    modern = ("-global", "virtio-mmio.force-legacy=off")
    card = "virtio-net-device,netdev=n"
    return [
        row("user", network.user),
        row("user-modern-packed", network.user, *modern, "-device", f"{card},packed=on", smp=2),
        row("user-no-merge", network.user, *modern, "-device", f"{card},mrg_rxbuf=off,event_idx=off"),
        row("user-plain", network.user, "-device", f"{card},mrg_rxbuf=off,csum=off,guest_csum=off,indirect_desc=off"),
        row("user-restricted", network.restricted),
        row("tap", network.tap, "-nic", "tap,ifname=mote0,script=no,downscript=no"),
        row("tap-modern-packed", network.tap, *modern, "-netdev", "tap,id=n,ifname=mote0,script=no,downscript=no",
            "-device", f"{card},packed=on", smp=2),
        row("tap-queues", network.tap, *modern, "-netdev", "tap,id=n,ifname=mote0,script=no,downscript=no,queues=2",
            "-device", f"{card},mq=on", smp=2),
        row("tap-plain", network.tap, "-netdev", "tap,id=n,ifname=mote0,script=no,downscript=no,vnet_hdr=off",
            "-device", f"{card},mrg_rxbuf=off"),
        row("stream", network.stream),
        row("dgram", network.dgram),
    ]


def seeds():
    return [
        Case("seed/all-devices", seed.all_devices),
        Case("seed/all-devices-no-reboot", seed.all_devices_end),
        Case("seed/fewest-devices", seed.fewest_devices),
        Case("seed/fewest-devices-no-reboot", seed.fewest_devices_end),
    ]


def disks():
    return [
        Case("disk/kill-raw", storage.kill_raw, kernel="vmlinux"),
        Case("disk/kill-qcow2", storage.kill_qcow2, kernel="vmlinux"),
        Case("disk/host-full", storage.host_full, kernel="vmlinux"),
        Case("disk/image-cut", storage.image_cut, kernel="vmlinux"),
    ]


def legacy_off():
    """Each of the legacy devices missing, and all of them."""
    rows = [Case(f"legacy/{d}-off", checks.selfcheck, machine=f",{d}=off", smp=2)
            for d in ("pit", "pic", "rtc")]
    rows += [
        Case("legacy/serial-off", checks.selfcheck, machine=",isa-serial=off", smp=2, serial=False),
        Case("legacy/no-serial-backend", checks.selfcheck, smp=2, serial=False, args=("-serial", "none")),
        Case("legacy/pit-pic-rtc-off", checks.selfcheck, machine=ALL_OFF, smp=2),
        Case("legacy/all-off", checks.selfcheck, machine=f"{ALL_OFF},isa-serial=off,x-option-roms=off", smp=2,
             serial=False),
        Case("legacy/acpi-off-rtc-off", checks.selfcheck, machine=",acpi=off,rtc=off", append="reboot=t"),
        Case("legacy/acpi-off-serial-off", checks.selfcheck, machine=",acpi=off,isa-serial=off", serial=False),
        # Neither ACPI nor MP tables nor a PIC: the cloud kernel has no interrupts, but comes as far as its init.
        Case("legacy/acpi-off-pic-off", checks.reaches_init, machine=",acpi=off,pic=off", append="earlyprintk=ttyS0"),
    ]
    return rows


def console():
    return [
        Case("console/session", checks.session),
        Case("console/smp2-session", checks.session, smp=2),
        Case("console/quit-key", checks.quit_key, append="run=idle"),
        Case("console/control-c-reaches-guest", checks.control_c),
        Case("console/much-output", checks.much_output),
        Case("console/much-input", checks.much_input),
        Case("console/stdin-closed", checks.stdin_closed),
    ]


def ends():
    """How machines end, and the exit status."""
    return [
        Case("end/poweroff", checks.ends_with_0, append="run=off"),
        Case("end/poweroff-acpi-off-stays", checks.acpi_off_poweroff, machine=",acpi=off", append="run=off end=off"),
        Case("end/reboot-no-reboot", checks.ends_with_0, append="run=off end=reboot"),
        Case("end/reboot-t-no-reboot", checks.ends_with_0, append="run=off end=reboot reboot=t"),
        Case("end/acpi-off-reboot-no-reboot", checks.ends_with_0, machine=",acpi=off",
             append="run=off end=reboot"),
        Case("end/reboot-boots-again", checks.boots_again, append="run=off end=reboot"),
        Case("end/reboot-t-boots-again", checks.boots_again, append="run=off end=reboot reboot=t", smp=2),
        Case("end/panic-no-reboot", checks.panic_ends, append="run=panic panic=-1"),
        Case("end/panic-stays", checks.panic_stays, append="run=panic"),
        Case("end/debug-exit", checks.debug_exit, append="run=off end=port"),
        Case("end/no-shutdown", checks.no_shutdown, append="run=off", args=("-no-shutdown",)),
        Case("end/sigterm", checks.sigterm, append="run=idle"),
        Case("end/sigint", checks.sigint, append="run=idle"),
        Case("end/sighup", checks.sighup, append="run=idle", smp=2),
    ]


def bad_options():
    """Status 1, and a sentence that names what is wrong."""
    def row(name, stderr, *args):
        return Case(f"option/{name}", checks.refused, args=args, stderr=stderr)
    return [
        row("unknown", "-nosuch: invalid option", "-nosuch"),
        row("needs-value", "-m: requires an argument", "-m"),
        row("machine", "unsupported machine type", "-M", "nosuch"),
        row("machine-property", "Property 'microvm-machine.foo' not found", "-M", "microvm,foo=bar"),
        row("machine-value", "Parameter 'pit' does not accept value 'maybe'", "-M", "microvm,pit=maybe"),
        row("machine-bool", "Parameter 'isa-serial' expects 'on' or 'off'", "-M", "microvm,isa-serial=maybe"),
        row("memory", "Parameter 'size' expects a non-negative number", "-M", "microvm", "-m", "abc"),
        row("kernel-missing", "/nonexistent", "-M", "microvm", "-kernel", "/nonexistent"),
        row("append-without-kernel", "only allowed with -kernel", "-M", "microvm", "-append", "x"),
        row("serial", "'nosuch' is not a valid char driver", "-M", "microvm", "-serial", "nosuch"),
        row("device", "'nosuch' is not a valid device model name", "-M", "microvm", "-device", "nosuch"),
        row("smp", "Invalid CPU topology", "-M", "microvm", "-smp", "2,maxcpus=1"),
        row("accel", "invalid accelerator nosuch", "-M", "microvm", "-accel", "nosuch"),
        row("cpu", "unable to find CPU model 'nosuch'", "-M", "microvm", "-cpu", "nosuch", "-kernel", "{kernel}"),
        row("two-stdio", "cannot use stdio by multiple character devices", "-M", "microvm", "-nodefaults",
            "-nographic", "-serial", "stdio", "-serial", "stdio"),
    ]


def byte_channels():
    """hvc0, virtio serial ports and vsock, each on a legacy transport and on a modern one."""
    modern = ("-global", "virtio-mmio.force-legacy=off")
    return [
        Case("channel/hvc-session", channels.hvc_session),
        Case("channel/hvc-session-modern", channels.hvc_session, smp=2, args=modern),
        Case("channel/hvc-reboot", channels.hvc_reboot),
        Case("channel/port-echo", channels.port_echo),
        Case("channel/port-echo-modern", channels.port_echo, args=modern),
        Case("channel/vsock-host-clients", channels.vsock_host_clients),
        Case("channel/vsock-host-clients-modern", channels.vsock_host_clients, smp=2, args=modern),
        Case("channel/vsock-guest-clients", channels.vsock_guest_clients),
        Case("channel/vsock-guest-clients-modern", channels.vsock_guest_clients, args=modern),
    ]


def shares():
    """Folders of the host, as the guest's root and beside it; and memory that the guest gives back."""
    modern = ("-global", "virtio-mmio.force-legacy=off")
    return [
        Case("share/root-none", share.root_none, kernel="vmlinux", mem=256),
        Case("share/root-mapped", share.root_mapped, kernel="vmlinux", mem=256),
        Case("share/root-passthrough", share.root_passthrough, kernel="bzImage", mem=256, args=modern),
        Case("share/read-only", share.read_only, kernel="vmlinux", append="reboot=t"),
        Case("balloon/free-pages", share.free_pages_are_given_back, kernel="vmlinux", append="reboot=t"),
        Case("balloon/free-pages-modern", share.free_pages_are_given_back, kernel="vmlinux", append="reboot=t",
             args=modern),
        Case("share/all-slots", slots.all_used, kernel="vmlinux", append="reboot=t"),
        Case("share/all-slots-modern", slots.all_used, kernel="bzImage", append="reboot=t",
             args=("-global", "virtio-mmio.force-legacy=off"), smp=2),
        Case("share/one-device-too-many", slots.one_too_many, kernel="vmlinux"),
        Case("balloon/target", share.the_target_is_reached, kernel="vmlinux", append="reboot=t"),
        Case("balloon/deflate-on-oom", share.out_of_memory_deflates, kernel="vmlinux", append="reboot=t"),
    ]


def messages():
    """What the guest kernel complains about, against what it says on QEMU."""
    return [
        Case("dmesg/default", checks.dmesg_like_reference),
        Case("dmesg/smp2", checks.dmesg_like_reference, smp=2),
        Case("dmesg/acpi-off", checks.dmesg_like_reference, machine=",acpi=off", append="reboot=t"),
        Case("dmesg/rtc-off", checks.dmesg_like_reference, machine=",rtc=off"),
        Case("dmesg/mem4g", checks.dmesg_like_reference, mem=4096),
    ]


def by_firmware():
    """What firmware boots, and what it finds."""
    disk = ("-drive", "id=d,if=none,format=raw,file={disk}")
    kernel = ("-kernel", "{kernel}", "-initrd", "{initrd}", "-append", "console=ttyS0")
    rows = [Case(f"firmware/{cell.name}", firmware.cell_check(cell)) for cell in firmware.SOME_CELLS]
    rows += [
        # By a triple fault: when Linux jumps into a qboot that has run before, it survives that or not, on QEMU, too.
        Case("firmware/qboot-reboots", checks.boots_again, append="run=off end=reboot reboot=t",
             args=("-bios", "qboot")),
        Case("firmware/seabios-reboots", checks.boots_again, append="run=off end=reboot", args=("-bios", "seabios")),
        Case("firmware/seabios-disk", firmware.disk_boots),
        Case("firmware/seabios-disk-modern", firmware.disk_boots,
             args=("-global", "virtio-mmio.force-legacy=false", "-smp", "2")),
        Case("firmware/seabios-debug-messages", firmware.debug_messages),
        Case("firmware/seabios-nothing-to-boot", firmware.nothing_to_boot),
        Case("firmware/seabios-rtc-pit-pic-off", firmware.nothing_to_boot, machine=ALL_OFF),
        Case("firmware/fw-cfg-empty", firmware.fw_cfg_like_reference, mem=128),
        Case("firmware/fw-cfg-acpi-off", firmware.fw_cfg_like_reference, machine=",acpi=off", mem=4096, smp=4),
        Case("firmware/fw-cfg-bzimage", firmware.fw_cfg_like_reference, machine=",acpi=on", mem=4096, smp=2,
             args=(*kernel, "-serial", "null")),
        Case("firmware/fw-cfg-vmlinux", firmware.fw_cfg_like_reference, machine=",acpi=off", mem=300,
             args=("-kernel", "{vmlinux}", *disk, "-device", "virtio-rng-device", "-device",
                   "virtio-blk-device,drive=d")),
        Case("firmware/fw-cfg-own", firmware.fw_cfg_like_reference, machine=",acpi=on,ioapic2=off,rtc=off",
             args=(*disk, "-device", "virtio-blk-device,drive=d,bootindex=3", "-device", "virtio-rng-device", "-boot",
                   "menu=on", "-fw_cfg", "name=opt/text,string=abc", "-fw_cfg", "opt/org/file,file={initrd}")),
        Case("firmware/memtest64-direct", firmware.memtest("memtest64"), mem=64),
        Case("firmware/memtest64-seabios", firmware.memtest("memtest64"), mem=64, args=("-bios", "seabios")),
        Case("firmware/memtest32-qboot", firmware.memtest("memtest32"), mem=64, args=("-bios", "qboot")),
        Case("firmware/ipxe-qboot", firmware.ipxe, mem=128, args=("-bios", "qboot")),
        Case("firmware/ipxe-seabios", firmware.ipxe, mem=128, args=("-bios", "seabios")),
        Case("firmware/memdisk-seabios", firmware.memdisk, mem=128, args=("-bios", "seabios")),
    ]
    return rows


CASES = sum([
    boots(),
    small(),
    networks(),
    seeds(),
    disks(),
    legacy_off(),
    console(),
    byte_channels(),
    shares(),
    ends(),
    bad_options(),
    messages(),
    by_firmware(),
], [])
