/* SPDX-License-Identifier: MIT */
/*
 * Upkeep of what a CPU caches about its paging structures and its mode.
 */
#pragma once

#include "accel/soft/state.h"

/* What a CPU must forget, by event (SDM vol. 3A, 4.10.4). */
enum tlb_flush {
    TLB_FLUSH_ALL, /* MOV to CR0 (PG, WP), CR4 (PSE, PAE, PGE, PCIDE, SMEP...), EFER, reset, INVPCID type 2 and 3 */
    TLB_FLUSH_CR3,   /* MOV to CR3 without PCID, or with bit 63 clear: the new PCID's entries */
    TLB_SWITCH_PCID, /* MOV to CR3 with bit 63 set: keep the new PCID's entries */
    TLB_FLUSH_PAGE,  /* INVLPG, INVPCID type 0 of the current PCID: `addr` */
    TLB_FLUSH_PCID,  /* INVPCID type 0 or 1 of PCID `addr` */
};

/* The entry that `addr` was given belongs to a page of 1 << `shift` bytes: a flush of any address in it takes all. */
void tlb_note_large(struct cpu *cpu, gva addr, unsigned shift);

/* Call after the register has its new value. */
void tlb_flush(struct cpu *cpu, enum tlb_flush what, gva addr);

/* A part of a page of `1 << shift` bytes, more than 4 KiB, goes into the TLB. */
void tlb_note_large(struct cpu *cpu, gva addr, unsigned shift);

/*
 * Recompute cpu->cpl, cpu->mode and the TLB context. Call after any change of CS, SS, DS, ES (outside 64-bit mode),
 * CR0, CR4, EFER, DR7, or RFLAGS.VM/TF/AC. CPL is SS.DPL in protected mode, 0 in real mode, 3 in virtual-8086 mode.
 * The instruction that calls it must end its block.
 */
void cpu_mode_update(struct cpu *cpu);

/* To power-on state: forget everything. */
void tlb_reset(struct cpu *cpu);

/* Forget which blocks are at which linear addresses (the block cache has dropped some). */
void tlb_forget_blocks(struct cpu *cpu);
