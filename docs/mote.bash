# SPDX-License-Identifier: MIT
# Completion of mote's command line for bash. Made from the table of options.
_mote()
{
    local word=${COMP_WORDS[COMP_CWORD]} files= words=
    local option=${COMP_WORDS[COMP_CWORD - 1]/#--/-}

    case $option in
    -M|-machine)
        words="microvm help" ;;
    -accel)
        words="soft kvm tcg help" ;;
    -cpu)
        words="max host qemu64 help" ;;
    -m) files= ;;
    -smp) files= ;;
    -global) files= ;;
    -rtc) files= ;;
    -uuid) files= ;;
    -overcommit) files= ;;
    -kernel) files=1 ;;
    -initrd) files=1 ;;
    -append) files= ;;
    -bios)
        words="qboot seabios none" ;;
    -L) files=1 ;;
    -boot) files= ;;
    -fw_cfg) files= ;;
    -serial)
        words="none null stdio mon:stdio pty file: pipe: unix: tcp: telnet: chardev:" ;;
    -chardev)
        words="file null pipe pty socket stdio help" ;;
    -debugcon)
        words="none null stdio mon:stdio pty file: pipe: unix: tcp: telnet: chardev:" ;;
    -display)
        words="none" ;;
    -monitor)
        words="none" ;;
    -drive) files= ;;
    -blockdev) files= ;;
    -fsdev) files= ;;
    -virtfs) files= ;;
    -device)
        words="isa-debug-exit isa-debugcon vhost-vsock-device virtconsole virtio-9p-device virtio-balloon-device virtio-blk-device virtio-net-device virtio-rng-device virtio-serial-device virtio-vsock-device virtserialport help" ;;
    -object) files= ;;
    -netdev)
        words="tap user stream dgram socket help" ;;
    -nic)
        words="tap user stream dgram socket none help" ;;
    -name) files= ;;
    -action) files= ;;
    -pidfile) files=1 ;;
    -d)
        words="boot cpu cpu_reset exits guest_errors in_asm int mmu op out_asm stats unimp help" ;;
    -D) files=1 ;;
    *)
        words="-M -machine -accel -enable-kvm -cpu -m -smp -global -rtc -uuid -overcommit -no-acpi -kernel -initrd -append -bios -L -boot -fw_cfg -serial -chardev -debugcon -nographic -display -monitor -drive -blockdev -fsdev -virtfs -snapshot -device -object -netdev -nic -nodefaults -name -no-reboot -no-shutdown -action -S -pidfile -daemonize -d -perfmap -D -h -help -version" ;;
    esac
    if [[ $files ]]; then
        COMPREPLY=($(compgen -f -- "$word"))
    else
        COMPREPLY=($(compgen -W "$words" -- "$word"))
    fi
}
complete -o filenames -F _mote mote
