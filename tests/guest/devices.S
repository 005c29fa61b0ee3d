/* SPDX-License-Identifier: MIT */
/* The small devices as a driver finds them: real time clock, serial port, fw_cfg, and what is not there. */
#include "lib/guest.h"

#define BUFFER FREE_MEMORY

    .code64
    .text
    .globl  guest_main
guest_main:
    call    nothing
    call    clock
    call    serial
    call    fw_cfg
    call    virtio_slots
    call    ged
    ret

/* Unmapped ports read as ones, unmapped memory as zeros. */
nothing:
    IN_8    0x80
    CHECK   "an empty port, 8 bits", rax, 0xFF
    mov     edx, 0x80
    xor     eax, eax
    in      ax, dx
    CHECK   "an empty port, 16 bits", rax, 0xFFFF
    mov     edx, 0xCFC
    in      eax, dx
    mov     ebx, 0xFFFFFFFF
    CHECK   "no PCI", rax, rbx
    IN_8    0x64
    CHECK   "no keyboard controller", rax, 0xFF
    IN_8    0x92
    CHECK   "no port 0x92", rax, 0xFF
    IN_8    0x2F8 + 5
    CHECK   "no second serial port", rax, 0xFF
    OUT_8   0x64, 0xFE
    CHECK   "no reset by the keyboard controller", rax, 0xFE
    OUT_8   0xCF9, 6
    CHECK   "no reset by 0xCF9", rax, 6
    mov     ebx, 0xF0000000
    CHECK   "empty memory, 64 bits", [rbx], 0
    mov     qword ptr [rbx], -1
    CHECK   "a write there is lost", [rbx], 0
    movzx   eax, byte ptr [rbx + 1]
    CHECK   "empty memory, 8 bits", rax, 0
    mov     ebx, 0xA0000
    mov     dword ptr [rbx], 0x12345678
    CHECK_32 "there is RAM at 0xA0000", [rbx], 0x12345678
    mov     ebx, 0xC0000
    mov     dword ptr [rbx], 0x12345678
    CHECK_32 "there is RAM at 0xC0000", [rbx], 0x12345678
    ret

/* CMOS index -> eax */
.macro CMOS index
    OUT_8   0x70, \index
    IN_8    0x71
.endm

clock:
    IN_8    0x70
    CHECK   "the index port cannot be read", rax, 0xFF
    CMOS    0x0D
    CHECK   "register D: the battery is good", rax, 0x80
    CMOS    0x0B
    CHECK   "register B: 24 hours, BCD", rax, 2
    CMOS    0x0A
    and     eax, 0x7F
    CHECK   "register A: 32 kHz, 1 kHz rate", rax, 0x26
    CMOS    0x32
    CHECK   "the century is 20", rax, 0x20
    CMOS    0x08
    dec     eax
    cmp     eax, 0x12
    setb    al
    movzx   eax, al
    CHECK   "the month is a month", rax, 1
    OUT_8   0x70, 0x40
    OUT_8   0x71, 0x5A
    CMOS    0x40
    CHECK   "CMOS RAM keeps a byte", rax, 0x5A
    CMOS    0x34                    /* 64 KiB units above 16 MiB: 48 MiB */
    CHECK   "CMOS tells the memory size, low", rax, 0x00
    CMOS    0x35
    CHECK   "CMOS tells the memory size, high", rax, 0x03
    /* The update flag of register C: comes within a second, and a read clears it. */
    CMOS    0x0C
    mov     ecx, 200000000
1:  CMOS    0x0C
    test    al, 0x10
    jnz     2f
    dec     ecx
    jnz     1b
2:  and     eax, 0x10
    CHECK   "the clock updates each second", rax, 0x10
    CMOS    0x0C
    and     eax, 0x10               /* the periodic flag may be back */
    CHECK   "reading register C clears it", rax, 0
    CMOS    0x00
    mov     ebx, eax
    ret

serial:
    /* Divisor latch. */
    OUT_8   COM1 + 3, 0x83
    OUT_8   COM1, 0x0C
    OUT_8   COM1 + 1, 0x34
    IN_8    COM1
    mov     ebx, eax
    IN_8    COM1 + 1
    shl     eax, 8
    or      ebx, eax
    OUT_8   COM1, 1
    OUT_8   COM1 + 1, 0
    OUT_8   COM1 + 3, 3
    CHECK   "the divisor reads back", rbx, 0x340C
    OUT_8   COM1 + 7, 0xA5
    IN_8    COM1 + 7
    CHECK   "the scratch register", rax, 0xA5
    OUT_8   COM1 + 1, 0xFF
    IN_8    COM1 + 1
    mov     ebx, eax
    OUT_8   COM1 + 1, 0
    CHECK   "IER has four bits", rbx, 0x0F
    IN_8    COM1 + 5
    CHECK   "LSR: transmitter empty", rax, 0x60
    IN_8    COM1 + 6
    and     eax, 0xF0
    CHECK   "MSR: carrier, data set ready, clear to send", rax, 0xB0
    IN_8    COM1 + 2
    CHECK   "IIR: no interrupt, FIFOs on", rax, 0xC1
    /* THRE: enabling raises it, reading IIR clears it. */
    OUT_8   COM1 + 1, 2
    IN_8    COM1 + 2
    mov     ebx, eax
    IN_8    COM1 + 2
    shl     eax, 8
    or      ebx, eax
    OUT_8   COM1 + 1, 0
    CHECK   "THRE interrupt on enabling, until IIR is read", rbx, 0xC1C2
    /* Loopback. */
    OUT_8   COM1 + 4, 0x1A
    IN_8    COM1 + 6
    and     eax, 0xF0
    mov     ebx, eax
    OUT_8   COM1 + 4, 0x10
    OUT_8   COM1 + 0, 0x77
    mov     ecx, 10000000
1:  IN_8    COM1 + 5
    test    al, 1
    jnz     2f
    dec     ecx
    jnz     1b
2:  and     eax, 1
    mov     esi, eax
    IN_8    COM1
    mov     edi, eax
    OUT_8   COM1 + 4, 0x03
    CHECK   "loopback of RTS and OUT2", rbx, 0x90
    CHECK   "loopback: data is there", rsi, 1
    CHECK   "loopback: the byte", rdi, 0x77
    /* The FIFO takes 16, overrun is told. */
    OUT_8   COM1 + 2, 0x07
    OUT_8   COM1 + 4, 0x10
    mov     ecx, 16
3:  mov     eax, ecx
    mov     edx, COM1
    out     dx, al
    mov     ebx, 10000000
4:  IN_8    COM1 + 5
    test    al, 0x20
    jnz     5f
    dec     ebx
    jnz     4b
5:  dec     ecx
    jnz     3b
    mov     ebx, 3000000
6:  dec     ebx                     /* the last byte's time at 115200 baud */
    jnz     6b
    xor     ebx, ebx
    mov     ecx, 16
7:  IN_8    COM1
    add     ebx, eax
    dec     ecx
    jnz     7b
    IN_8    COM1 + 5
    and     eax, 1
    mov     esi, eax
    OUT_8   COM1 + 4, 0x03
    OUT_8   COM1 + 2, 0x07
    CHECK   "the FIFO keeps 16 bytes", rbx, 136
    CHECK   "and is empty then", rsi, 0
    ret

/* fw_cfg key */
.macro FW_CFG key
    mov     edx, 0x510
    mov     eax, \key
    out     dx, ax
    mov     edx, 0x511
.endm

fw_cfg:
    FW_CFG  0
    xor     ebx, ebx
    mov     ecx, 4
1:  in      al, dx
    shl     ebx, 8
    mov     bl, al
    dec     ecx
    jnz     1b
    CHECK   "the signature is QEMU", rbx, 0x51454D55
    xor     eax, eax
    in      al, dx
    CHECK   "behind an item's end there are zeros", rax, 0
    FW_CFG  1
    xor     eax, eax
    in      al, dx
    CHECK   "the interface has DMA", rax, 3
    FW_CFG  3
    mov     edi, BUFFER
    mov     ecx, 8
    rep     insb
    CHECK   "the RAM size", [BUFFER], (64 << 20)
    FW_CFG  5
    mov     qword ptr [BUFFER], 0
    mov     edi, BUFFER
    mov     ecx, 2
    rep     insb
    CHECK   "the number of CPUs", [BUFFER], 1
    FW_CFG  0x3FFF
    xor     eax, eax
    in      al, dx
    CHECK   "an unknown key reads as 0", rax, 0
    mov     edx, 0x514
    in      eax, dx
    CHECK   "the DMA port says QEMU", rax, 0x554D4551
    mov     edx, 0x518
    in      eax, dx
    CHECK   "and CFG", rax, 0x47464320
    /* DMA: select the signature and read it; big-endian descriptor. */
    mov     dword ptr [BUFFER], 0x0A000000 /* key 0, SELECT | READ */
    mov     dword ptr [BUFFER + 4], 0x06000000
    mov     rax, BUFFER + 64
    bswap   rax
    mov     [BUFFER + 8], rax
    mov     rax, -1
    mov     [BUFFER + 64], rax
    mov     edx, 0x514
    xor     eax, eax
    out     dx, eax
    mov     edx, 0x518
    mov     eax, BUFFER
    bswap   eax
    out     dx, eax
    CHECK_32 "DMA reports success", [BUFFER], 0
    mov     rbx, 0xFFFF0000554D4551
    CHECK   "DMA reads the item, then zeros", [BUFFER + 64], rbx
    /* A write is refused. */
    mov     dword ptr [BUFFER], 0x18000000 /* key 0, SELECT | WRITE */
    mov     edx, 0x514
    xor     eax, eax
    out     dx, eax
    mov     edx, 0x518
    mov     eax, BUFFER
    bswap   eax
    out     dx, eax
    CHECK_32 "DMA refuses to write", [BUFFER], 0x01000000
    ret

virtio_slots:
    mov     ebx, 0xFEB00000
    CHECK_32 "a virtio slot: magic", [rbx], 0x74726976
    CHECK_32 "an empty slot: device 0", [rbx + 8], 0
    CHECK_32 "the vendor", [rbx + 12], 0x554D4551
    CHECK_32 "the last of 24 slots", [rbx + 23 * 0x200], 0x74726976
    CHECK_32 "there is no 25th", [rbx + 24 * 0x200], 0
    ret

/* The ACPI event device: no event, and its registers read 0. */
ged:
    mov     ebx, 0xFEA00000
    CHECK_32 "no event is pending", [rbx], 0
    movzx   eax, byte ptr [rbx + 0x200]
    CHECK   "the sleep control register reads 0", rax, 0
    ret
