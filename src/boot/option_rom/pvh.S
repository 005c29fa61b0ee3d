/* SPDX-License-Identifier: MIT */
/*
 * Option ROM that starts an ELF kernel by its PVH entry. Its segments are in memory already; what
 * is left to do is the start info (Xen, docs/misc/pvh.pandoc): command line, initrd, memory map and
 * RSDP.
 */
#include "boot/option_rom/rom.inc"

/* Where start info, its only module and the memory map are; the command line. At segment 0. */
.set INFO,           0x5000
.set MODULE,         INFO + 64
.set MEMMAP,         INFO + 96
.set MEMMAP_MAX,     128
.set GDT_POINTER,    0x6020
.set CMDLINE,        0x20000

/* struct hvm_start_info */
.set INFO_MAGIC,     INFO + 0
.set INFO_VERSION,   INFO + 4
.set INFO_MODULES,   INFO + 12
.set INFO_MODLIST,   INFO + 16
.set INFO_CMDLINE,   INFO + 24
.set INFO_RSDP,      INFO + 32
.set INFO_MEMMAP,    INFO + 40
.set INFO_ENTRIES,   INFO + 48
.set MAGIC,          0x336EC578
.set ENTRY_SIZE,     24         /* of the memory map: address, size, type, 0 */
.set ENTRY_BYTES,    20         /* what the BIOS fills in of it */
.set ENTRY_RAM,      1

.set SMAP,           0x534D4150
.set EBDA_SEGMENT,   0x40E      /* in the BIOS data area */
.set RSDP_V1_SIZE,   20
.set PAGE_MASK,      0xFFFFF000
.set CR0_PE,         1
.set CODE32,         0x08
.set DATA32,         0x10

    .section .rodata
    .balign 16
    .globl option_rom_pvh_start
    .globl option_rom_pvh_end
option_rom_pvh_start:
    rom_header boot, "PVH loader DMA"
    rom_reader

gdt:
    .quad 0
    .quad 0x00CF9B000000FFFF        /* 32-bit code, 4 GiB */
    .quad 0x00CF93000000FFFF        /* data, 4 GiB */
gdt_end:

rsdp_signature:
    .ascii "RSD PTR "

boot:
    cli
    cld
    xor %ax, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $STACK_TOP, %sp
    mov $INFO, %di
    mov $(MEMMAP - INFO) / 2, %cx
    rep stosw
    movl $MAGIC, INFO_MAGIC
    movl $1, INFO_VERSION
    call read_memory_map
    call find_rsdp
    mov %eax, INFO_RSDP
    call read_initrd
    movl $CMDLINE, INFO_CMDLINE
    mov $CMDLINE, %ebx
    mov $((CMDLINE_SIZE << 8) | CMDLINE_DATA), %cx
    call rom_read_sized
    mov $KERNEL_ENTRY, %dx
    call rom_read_value
    mov %eax, %ecx

    /* To protected mode: this ROM's linear address is the segment's base. */
    xor %ebx, %ebx
    mov %cs, %bx
    shl $4, %ebx
    lea (gdt - rom_start)(%ebx), %eax
    movw $(gdt_end - gdt - 1), GDT_POINTER
    mov %eax, GDT_POINTER + 2
    lgdtl GDT_POINTER
    lea (flat - rom_start)(%ebx), %eax
    pushl $CODE32
    pushl %eax
    mov %cr0, %eax
    or $CR0_PE, %al
    mov %eax, %cr0
    lretl

    .code32
flat:
    mov $DATA32, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov %eax, %fs
    mov %eax, %gs
    mov $INFO, %ebx
    xor %ebp, %ebp
    jmp *%ecx
    .code16

/* The BIOS's memory map (INT 15h, AX = E820h), an entry a call. */
read_memory_map:
    movl $MEMMAP, INFO_MEMMAP
    mov $MEMMAP, %di
    xor %ebx, %ebx
1:  mov $0xE820, %eax
    mov $SMAP, %edx
    mov $ENTRY_BYTES, %ecx
    push %di
    int $0x15
    pop %di
    jc 2f
    cmp $SMAP, %eax
    jne 2f
    movl $0, ENTRY_BYTES(%di)
    add $ENTRY_SIZE, %di
    incl INFO_ENTRIES
    cmpl $MEMMAP_MAX, INFO_ENTRIES
    je 2f
    test %ebx, %ebx
    jnz 1b
2:  cli
    cld
    ret

/* EAX = the RSDP (ACPI 6.4, 5.2.5.1): in the first KiB of the EBDA, or in the last 128 KiB below 1 MiB. */
find_rsdp:
    mov EBDA_SEGMENT, %ax
    mov $(1024 / 16), %cx
    call scan_rsdp
    jnz 1f
    mov $0xE000, %ax
    mov $(0x20000 / 16), %cx
    call scan_rsdp
1:  ret

/* EAX = the RSDP in CX paragraphs from segment AX on, or 0; and the zero flag. */
scan_rsdp:
    push %es
1:  mov %ax, %es
    xor %di, %di
    mov $(rsdp_signature - rom_start), %si
    push %cx
    mov $4, %cx
    rep cmpsw %es:(%di), %cs:(%si)
    jne 2f
    call sum_rsdp
2:  pop %cx
    je 3f
    inc %ax
    loop 1b
    xor %ax, %ax
3:  pop %es
    movzx %ax, %eax
    shl $4, %eax
    ret

/* The zero flag: do the RSDP's first bytes sum to 0? */
sum_rsdp:
    push %ax
    xor %al, %al
    xor %di, %di
    mov $RSDP_V1_SIZE, %cx
1:  add %es:(%di), %al
    inc %di
    loop 1b
    test %al, %al
    pop %ax
    ret

/* Read the initrd, if there is one, and tell the kernel by a module. */
read_initrd:
    mov $INITRD_SIZE, %dx
    call rom_read_value
    test %eax, %eax
    jz 1f
    mov %eax, %esi
    mov $INITRD_ADDR, %dx
    call rom_read_value
    mov %eax, %ebx
    call fit_initrd
    mov $((INITRD_SIZE << 8) | INITRD_DATA), %cx
    call rom_read_sized
    mov %ebx, MODULE
    mov %esi, MODULE + 8
    movl $1, INFO_MODULES
    movl $MODULE, INFO_MODLIST
1:  ret

/*
 * EBX = where ESI bytes of initrd go, given where they were meant to: the firmware may have taken
 * the end of that RAM for itself (ACPI tables). Then the initrd ends where the RAM now does.
 */
fit_initrd:
    mov $MEMMAP, %di
    mov INFO_ENTRIES, %cx
1:  cmpl $ENTRY_RAM, 16(%di)
    jne 2f
    cmpl $0, 4(%di)                 /* above 4 GiB */
    jne 2f
    mov %ebx, %eax
    sub (%di), %eax
    jb 2f
    cmp 8(%di), %eax                /* sizes below 4 GiB have no high half */
    jae 2f
    add %esi, %eax
    cmp 8(%di), %eax
    jbe 3f
    mov (%di), %ebx
    add 8(%di), %ebx
    sub %esi, %ebx
    and $PAGE_MASK, %ebx
    ret
2:  add $ENTRY_SIZE, %di
    loop 1b
3:  ret

option_rom_pvh_end:

    .section .note.GNU-stack, "", @progbits
