/* SPDX-License-Identifier: MIT */
/*
 * A small driver for legacy virtio devices over MMIO (virtio 1.2, 4.2.4), and what virtio.S and virtio_level.S do with
 * it: random bytes from an entropy device in slot 7, a sector from a disk in slot 6. Each request is one doorbell and
 * one interrupt; nothing else of the window is touched while it is under way but the handler's acknowledgement.
 *
 * The guest that includes this defines VIRTIO_GSI (of slot 0) and VIRTIO_ENTRY (bits of a redirection entry).
 */
#include "lib/guest.h"

#define WINDOW_RNG (0xFEB00000 + 7 * 0x200)
#define WINDOW_BLK (0xFEB00000 + 6 * 0x200)
#define VEC_RNG 0x61
#define VEC_BLK 0x62

#define V_MAGIC 0x000
#define V_VERSION 0x004
#define V_DEVICE 0x008
#define V_PAGE_SIZE 0x028
#define V_QUEUE_SEL 0x030
#define V_QUEUE_MAX 0x034
#define V_QUEUE_NUM 0x038
#define V_QUEUE_ALIGN 0x03C
#define V_QUEUE_PFN 0x040
#define V_NOTIFY 0x050
#define V_ISR 0x060
#define V_ACK 0x064
#define V_STATUS 0x070

#define RING_SIZE 8
#define RING_AVAIL (16 * RING_SIZE)
#define RING_USED 4096
#define DESC_NEXT 1
#define DESC_WRITE 2

#define RING_RNG FREE_MEMORY
#define RING_BLK (FREE_MEMORY + 0x4000)
#define BUFFER (FREE_MEMORY + 0x8000)
#define BUFFER_SIZE 64
#define HEADER (FREE_MEMORY + 0x9000)
#define SECTOR (FREE_MEMORY + 0xA000)
#define BLK_STATUS (FREE_MEMORY + 0xB000)
#define ROUNDS 16

    .code64
    .text
    .globl  guest_main
guest_main:
    LAPIC_WRITE LAPIC_SVR, 0x1FF
    OUT_8   0x21, 0xFF              /* not by the 8259s */
    OUT_8   0xA1, 0xFF
    HANDLE  VEC_RNG, on_rng
    HANDLE  VEC_BLK, on_blk
    IOAPIC_WRITE (0x10 + 2 * ((VIRTIO_GSI + 7) % 24) + 1), 0
    IOAPIC_WRITE (0x10 + 2 * ((VIRTIO_GSI + 7) % 24)), (VIRTIO_ENTRY | VEC_RNG)
    IOAPIC_WRITE (0x10 + 2 * ((VIRTIO_GSI + 6) % 24) + 1), 0
    IOAPIC_WRITE (0x10 + 2 * ((VIRTIO_GSI + 6) % 24)), (VIRTIO_ENTRY | VEC_BLK)
    call    entropy
    call    disk
    ret

/* ebx: window, esi: ring. The device is ready afterwards. */
bring_up:
    CHECK_32 "magic", [rbx + V_MAGIC], 0x74726976
    CHECK_32 "version 1", [rbx + V_VERSION], 1
    mov     dword ptr [rbx + V_STATUS], 0
    mov     dword ptr [rbx + V_STATUS], 1
    mov     dword ptr [rbx + V_STATUS], 3
    CHECK_32 "the status reads back", [rbx + V_STATUS], 3
    mov     dword ptr [rbx + V_PAGE_SIZE], 4096
    mov     dword ptr [rbx + V_QUEUE_SEL], 0
    CHECK_32 "the queue is not set up", [rbx + V_QUEUE_PFN], 0
    mov     dword ptr [rbx + V_QUEUE_NUM], RING_SIZE
    mov     dword ptr [rbx + V_QUEUE_ALIGN], 4096
    mov     eax, esi
    shr     eax, 12
    mov     dword ptr [rbx + V_QUEUE_PFN], eax
    mov     dword ptr [rbx + V_STATUS], 7
    ret

/* DESCRIPTOR ring, index, address, length, flags, next */
.macro DESCRIPTOR ring, index, address, length, flags, next
    mov     rax, \address
    mov     [\ring + 16 * \index], rax
    mov     dword ptr [\ring + 16 * \index + 8], \length
    mov     word ptr [\ring + 16 * \index + 12], \flags
    mov     word ptr [\ring + 16 * \index + 14], \next
.endm

/* OFFER ring: descriptor 0 once more; the doorbell is the caller's. Changes eax, ecx. */
.macro OFFER ring
    movzx   eax, word ptr [\ring + RING_AVAIL + 2]
    mov     ecx, eax
    and     ecx, RING_SIZE - 1
    mov     word ptr [\ring + RING_AVAIL + 4 + 2 * rcx], 0
    inc     eax
    mov     word ptr [\ring + RING_AVAIL + 2], ax
.endm

entropy:
    mov     ebx, WINDOW_RNG
    mov     esi, RING_RNG
    CHECK_32 "an entropy device", [rbx + V_DEVICE], 4
    call    bring_up
    DESCRIPTOR RING_RNG, 0, BUFFER, BUFFER_SIZE, DESC_WRITE, 0
    mov     ebp, 1
    sti
1:  OFFER   RING_RNG
    mov     dword ptr [rbx + V_NOTIFY], 0
    WAIT_FOR "dword ptr [rng_count]", ebp
    inc     ebp
    cmp     ebp, ROUNDS
    jbe     1b
    cli
    CHECK_32 "one interrupt for each doorbell", [rng_count], ROUNDS
    movzx   eax, word ptr [RING_RNG + RING_USED + 2]
    CHECK   "all requests are used", rax, ROUNDS
    CHECK_32 "the last one's length", [RING_RNG + RING_USED + 4 + 8 * ((ROUNDS - 1) % RING_SIZE) + 4], BUFFER_SIZE
    mov     rax, [BUFFER]
    or      rax, [BUFFER + 8]
    setnz   al
    movzx   eax, al
    CHECK   "the bytes are not all zero", rax, 1
    CHECK_32 "nothing is left to acknowledge", [rbx + V_ISR], 0
    mov     dword ptr [rbx + V_STATUS], 0
    CHECK_32 "a reset takes the queue away", [rbx + V_QUEUE_PFN], 0
    ret

/* A read of sector 0, again and again: header, data, status (5.2.6). The disk holds this guest's own image. */
disk:
    mov     ebx, WINDOW_BLK
    mov     esi, RING_BLK
    CHECK_32 "a block device", [rbx + V_DEVICE], 2
    call    bring_up
    mov     qword ptr [HEADER], 0
    mov     qword ptr [HEADER + 8], 0
    DESCRIPTOR RING_BLK, 0, HEADER, 16, DESC_NEXT, 1
    DESCRIPTOR RING_BLK, 1, SECTOR, 512, (DESC_NEXT | DESC_WRITE), 2
    DESCRIPTOR RING_BLK, 2, BLK_STATUS, 1, DESC_WRITE, 0
    mov     ebp, 1
    sti
1:  mov     dword ptr [SECTOR], 0
    mov     byte ptr [BLK_STATUS], 0xFF
    OFFER   RING_BLK
    mov     dword ptr [rbx + V_NOTIFY], 0
    WAIT_FOR "dword ptr [blk_count]", ebp
    inc     ebp
    cmp     ebp, ROUNDS
    jbe     1b
    cli
    CHECK_32 "one interrupt for each request", [blk_count], ROUNDS
    CHECK_32 "the sector is an ELF file's first", [SECTOR], 0x464C457F
    movzx   eax, byte ptr [BLK_STATUS]
    CHECK   "the status is good", rax, 0
    mov     dword ptr [rbx + V_STATUS], 0
    ret

/* HANDLER window, count: acknowledge at the device, then at the local APIC. */
.macro HANDLER window, count
    mov     edx, \window
    mov     eax, [rdx + V_ISR]
    mov     [rdx + V_ACK], eax
    and     eax, 1
    add     [\count], eax
    LAPIC_WRITE LAPIC_EOI, 0
    ret
.endm

on_rng:
    HANDLER WINDOW_RNG, rng_count
on_blk:
    HANDLER WINDOW_BLK, blk_count

    .bss
    .balign 4
rng_count:
    .skip   4
blk_count:
    .skip   4
