/* SPDX-License-Identifier: MIT */
/*
 * Option ROM that starts a bzImage: setup code, initrd, kernel and command line are read by DMA to
 * the addresses that the firmware configuration device tells, and the setup code is entered as a
 * boot loader would (Linux, Documentation/x86/boot.rst, "Running the Kernel").
 */
#include "boot/option_rom/rom.inc"

/* Setup header. */
.set RAMDISK_IMAGE,   0x218
.set INITRD_ADDR_MAX, 0x22C

.set PAGE_MASK,       0xFFFFF000
.set SETUP_ENTRY,     0x20      /* in paragraphs: code follows the boot sector */
.set STACK_RESERVE,   16

    .section .rodata
    .balign 16
    .globl option_rom_linuxboot_start
    .globl option_rom_linuxboot_end
option_rom_linuxboot_start:
    rom_header boot, "Linux loader DMA"
    rom_reader

boot:
    cli
    cld
    mov %cs, %ax
    mov %ax, %ds
    xor %ax, %ax
    mov %ax, %ss
    mov $STACK_TOP, %sp

    /* The setup code, with ES on it. */
    mov $SETUP_ADDR, %dx
    call rom_read_value
    mov %eax, %ebx
    mov $((SETUP_SIZE << 8) | SETUP_DATA), %cx
    call rom_read_sized
    mov %ebx, %eax
    shr $4, %eax
    mov %ax, %es

    /* The initrd. */
    call place_initrd
    mov %edi, %ebx
    mov $((INITRD_SIZE << 8) | INITRD_DATA), %cx
    call rom_read_sized

    mov $KERNEL_ADDR, %dx
    call rom_read_value
    mov %eax, %ebx
    mov $((KERNEL_SIZE << 8) | KERNEL_DATA), %cx
    call rom_read_sized

    mov $CMDLINE_ADDR, %dx
    call rom_read_value
    mov %eax, %ebx
    mov $((CMDLINE_SIZE << 8) | CMDLINE_DATA), %cx
    call rom_read_sized

    /* The stack ends below the command line. */
    mov $SETUP_ADDR, %dx
    call rom_read_value
    sub %eax, %ebx
    sub $STACK_RESERVE, %bx
    mov %es, %ax
    mov %ax, %ss
    mov %bx, %sp
    mov %ax, %ds
    mov %ax, %fs
    mov %ax, %gs
    add $SETUP_ENTRY, %ax
    push %ax
    push $0
    xor %eax, %eax
    xor %ebx, %ebx
    xor %ecx, %ecx
    xor %edx, %edx
    xor %esi, %esi
    xor %edi, %edi
    xor %ebp, %ebp
    lret

/*
 * EDI = where the initrd goes. An address up to what the kernel takes at most is right as it is.
 * Otherwise it was chosen to end at the top of RAM, of which the firmware may have taken the end
 * for itself (ACPI tables): then it is moved to below that, and the setup header told so.
 */
place_initrd:
    mov $INITRD_ADDR, %dx
    call rom_read_value
    mov %eax, %edi
    mov $INITRD_SIZE, %dx
    call rom_read_value
    test %eax, %eax
    jz 1f
    mov %eax, %esi                  /* size */
    lea -1(%edi, %esi), %edx        /* last byte */
    mov %es:INITRD_ADDR_MAX, %eax
    xor %edx, %eax
    test $PAGE_MASK, %eax
    jz 1f
    call find_memory_end
    sub %esi, %eax
    and $PAGE_MASK, %eax
    mov %eax, %edi
    mov %edi, %es:RAMDISK_IMAGE
1:  ret

/*
 * EAX = the end of RAM, by INT 15h, AX = E801h: AX and BX, or CX and DX where those are 0, are the
 * KiB above 1 MiB and the 64 KiB above 16 MiB.
 */
find_memory_end:
    push %es
    push %esi
    push %edi
    mov $0xE801, %ax
    xor %bx, %bx
    xor %cx, %cx
    xor %dx, %dx
    int $0x15
    cli
    cld
    mov %ax, %si
    or %bx, %si
    jnz 1f
    mov %cx, %ax
    mov %dx, %bx
1:  pop %edi
    pop %esi
    pop %es
    movzx %bx, %ebx
    shl $16, %ebx
    jz 2f
    lea 0x1000000(%ebx), %eax
    ret
2:  movzx %ax, %eax
    shl $10, %eax
    add $0x100000, %eax
    ret

option_rom_linuxboot_end:

    .section .note.GNU-stack, "", @progbits
