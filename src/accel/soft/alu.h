/* SPDX-License-Identifier: MIT */
/*
 * Integer operations done by the host's own instruction, with its flags.
 *
 * Each function executes one instruction on values and stores the host's RFLAGS; only FLAGS_ARITH of them means
 * anything. So results and flags, the undefined ones included, are those of the host's CPU. PUSHFQ from inline
 * assembly is why this library is built without a red zone.
 */
#pragma once

#include "base/types.h"

#define ALU_SAVE_FLAGS "pushfq\n\tpopq %[f]"
#define ALU_LOAD_CARRY "btl $0, %k[f]\n\t"

/*
 * Host flags := the arithmetic flags in %rax (destroyed). OF goes through an addition that overflows when bit 11 is
 * set, the others through SAHF: a fifth of POPFQ's time.
 */
#define ALU_LOAD_FLAGS \
    "xchgb %%al, %%ah\n\t" \
    "andb $8, %%al\n\t" \
    "addb $0x78, %%al\n\t" \
    "sahf\n\t"

#define ALU_SUFFIX_8  "b"
#define ALU_SUFFIX_16 "w"
#define ALU_SUFFIX_32 "l"
#define ALU_SUFFIX_64 "q"

/* a op b, flags written. */
#define ALU_BINARY(op, bits) \
    static inline u##bits alu_##op##bits(u##bits a, u##bits b, u64 *flags) \
    { \
        __asm__(#op ALU_SUFFIX_##bits " %[b], %[a]\n\t" ALU_SAVE_FLAGS \
                : [a] "+r"(a), [f] "=r"(*flags) \
                : [b] "r"(b) \
                : "cc"); \
        return a; \
    }

/* a op b, the carry of *flags read, flags written. */
#define ALU_BINARY_CARRY(op, bits) \
    static inline u##bits alu_##op##bits(u##bits a, u##bits b, u64 *flags) \
    { \
        __asm__(ALU_LOAD_CARRY #op ALU_SUFFIX_##bits " %[b], %[a]\n\t" ALU_SAVE_FLAGS \
                : [a] "+r"(a), [f] "+r"(*flags) \
                : [b] "r"(b) \
                : "cc"); \
        return a; \
    }

/* op a, the carry kept where the instruction does. */
#define ALU_UNARY(op, bits) \
    static inline u##bits alu_##op##bits(u##bits a, u64 *flags) \
    { \
        __asm__(ALU_LOAD_CARRY #op ALU_SUFFIX_##bits " %[a]\n\t" ALU_SAVE_FLAGS \
                : [a] "+r"(a), [f] "+r"(*flags) \
                : \
                : "cc"); \
        return a; \
    }

/* Compare: flags only. */
#define ALU_COMPARE(op, bits) \
    static inline void alu_##op##bits(u##bits a, u##bits b, u64 *flags) \
    { \
        __asm__(#op ALU_SUFFIX_##bits " %[b], %[a]\n\t" ALU_SAVE_FLAGS \
                : [f] "=r"(*flags) \
                : [a] "r"(a), [b] "r"(b) \
                : "cc"); \
    }

/* Shift or rotate by `count`, all flags loaded first: what the instruction keeps is kept. */
#define ALU_SHIFT(op, bits) \
    static inline u##bits alu_##op##bits(u##bits a, u8 count, u64 *flags) \
    { \
        u64 rax = *flags; \
\
        __asm__(ALU_LOAD_FLAGS #op ALU_SUFFIX_##bits " %%cl, %[a]\n\t" ALU_SAVE_FLAGS \
                : [a] "+r"(a), [f] "=r"(*flags), "+a"(rax) \
                : "c"(count) \
                : "cc"); \
        return a; \
    }

/* Shift or rotate by one: OF is defined. */
#define ALU_SHIFT_1(op, bits) \
    static inline u##bits alu_##op##_1_##bits(u##bits a, u64 *flags) \
    { \
        u64 rax = *flags; \
\
        __asm__(ALU_LOAD_FLAGS #op ALU_SUFFIX_##bits " %[a]\n\t" ALU_SAVE_FLAGS \
                : [a] "+r"(a), [f] "=r"(*flags), "+a"(rax) \
                : \
                : "cc"); \
        return a; \
    }

/* Shift by a count that is not zero modulo the size, or by one: the flags are all written. */
#define ALU_SHIFT_SURE(op, bits) \
    static inline u##bits alu_##op##_sure##bits(u##bits a, u8 count, u64 *flags) \
    { \
        __asm__(#op ALU_SUFFIX_##bits " %%cl, %[a]\n\t" ALU_SAVE_FLAGS \
                : [a] "+r"(a), [f] "=r"(*flags) \
                : "c"(count) \
                : "cc"); \
        return a; \
    }

/* SHLD, SHRD. */
#define ALU_SHIFT_DOUBLE(op, bits) \
    static inline u##bits alu_##op##bits(u##bits a, u##bits b, u8 count, u64 *flags) \
    { \
        u64 rax = *flags; \
\
        __asm__(ALU_LOAD_FLAGS #op ALU_SUFFIX_##bits " %%cl, %[b], %[a]\n\t" ALU_SAVE_FLAGS \
                : [a] "+r"(a), [f] "=r"(*flags), "+a"(rax) \
                : [b] "r"(b), "c"(count) \
                : "cc"); \
        return a; \
    }

/* dst = op(src), where dst may be kept or merged into: the whole register goes through the host's. */
#define ALU_SCAN(op, bits, mod) \
    static inline u64 alu_##op##bits(u64 dst, u##bits src, u64 *flags) \
    { \
        u64 rax = *flags; \
\
        __asm__(ALU_LOAD_FLAGS #op " %[s], %" mod "[d]\n\t" ALU_SAVE_FLAGS \
                : [d] "+r"(dst), [f] "=r"(*flags), "+a"(rax) \
                : [s] "r"(src) \
                : "cc"); \
        return dst; \
    }

#define ALU_SIZES(M, op)      M(op, 8) M(op, 16) M(op, 32) M(op, 64)
#define ALU_WORD_SIZES(M, op) M(op, 16) M(op, 32) M(op, 64)
