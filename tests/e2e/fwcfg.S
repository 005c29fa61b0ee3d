/* SPDX-License-Identifier: MIT */
/*
 * A firmware image that shows what firmware finds: the first 4096 bytes of every item of the firmware configuration
 * device, raw, to the debug port, and then a reset. Items 0 to 0x3F and 0x8000 to 0x8007, in this order.
 *
 *     as --32 fwcfg.S -o fwcfg.o; ld -m elf_i386 -Ttext=0 --oformat binary fwcfg.o -o fwcfg.bin
 */
    .set SELECTOR, 0x510
    .set DATA, 0x511
    .set DEBUG, 0x402
    .set BYTES, 4096
    .set BUFFER, 0x7000

    .code16
    .globl _start
_start:
begin:
    cli
    cld
    xor %ax, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $BUFFER, %sp
    xor %bx, %bx
    mov $0x40, %bp
    call show
    mov $0x8000, %bx
    mov $8, %bp
    call show
    lidt %cs:(nothing - begin)
    int3                        /* a triple fault */

/* BP items from BX on. */
show:
    mov $SELECTOR, %dx
    mov %bx, %ax
    out %ax, %dx
    mov $DATA, %dx
    mov $BUFFER, %di
    mov $BYTES, %cx
    rep insb
    mov $DEBUG, %dx
    mov $BUFFER, %si
    mov $BYTES, %cx
    rep outsb
    inc %bx
    dec %bp
    jnz show
    ret

nothing:
    .word 0
    .long 0

    .org 0xFFF0
    ljmp $0xF000, $0            /* CS: base 0xF0000, where the image's end shows as well */
    .org 0x10000
