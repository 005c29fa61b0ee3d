/* SPDX-License-Identifier: MIT */
/*
 * A disk to boot from: the boot sector prints to the serial port, has the firmware read the second sector by cylinder,
 * head and sector and the third by its number, and goes on there. The machine ends by isa-debug-exit, with 0x10 when
 * all was well.
 *
 *     as --32 bootsector.S -o b.o; ld -m elf_i386 -Ttext=0x7C00 --oformat binary b.o -o disk.img
 */
    .set COM1, 0x3F8
    .set DEBUG_EXIT, 0xF4
    .set GOOD, 0x10
    .set BAD, 0x11

    .code16
    .globl _start
_start:
    ljmp $0, $1f
1:  cli
    xor %ax, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $0x7C00, %sp
    sti
    cld
    mov %dl, drive
    mov $hello, %si
    call print

    mov $0x0201, %ax            /* read 1 sector */
    mov $0x0002, %cx            /* cylinder 0, sector 2 */
    mov $0, %dh                 /* head 0 */
    mov drive, %dl
    mov $second, %bx
    int $0x13
    mov $chs_failed, %si
    jc failed
    jmp second

failed:
    call print
    mov $BAD, %al
    out %al, $DEBUG_EXIT
    hlt

print:
    mov $COM1, %dx
1:  lodsb
    test %al, %al
    jz 2f
    out %al, %dx
    jmp 1b
2:  ret

drive:
    .byte 0
hello:
    .asciz "\r\nmote-guest: boot sector\r\n"
chs_failed:
    .asciz "mote-guest: int 13h, ah 2 failed\r\n"

    .org 510
    .word 0xAA55

second:
    mov $second_here, %si
    call print
    mov $packet, %si
    mov $0x42, %ah              /* extended read */
    mov drive, %dl
    int $0x13
    mov $lba_failed, %si
    jc failed
    jmp third

packet:
    .byte 16, 0
    .word 1                     /* sectors */
    .word third, 0              /* offset, segment */
    .quad 2                     /* the first */
second_here:
    .asciz "mote-guest: second sector\r\n"
lba_failed:
    .asciz "mote-guest: int 13h, ah 42h failed\r\n"

    .org 1024
third:
    mov $third_here, %si
    call print
    mov $GOOD, %al
    out %al, $DEBUG_EXIT
    hlt
third_here:
    .asciz "mote-guest: third sector\r\n"
