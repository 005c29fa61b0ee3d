/* SPDX-License-Identifier: MIT */
/*
 * Integer operations done by the instruction of an x86-64 host, with its flags: see alu.h.
 *
 * Results and flags, the undefined ones included, are those of the host's CPU. PUSHFQ from inline assembly is why this
 * library is built without a red zone.
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

/* The product of twice the width: its low part, and `*high`. */
#define ALU_MULTIPLY(op, bits) \
    static inline u##bits alu_##op##_wide##bits(u##bits a, u##bits b, u##bits *high, u64 *flags) \
    { \
        __asm__(#op ALU_SUFFIX_##bits " %[v]\n\t" ALU_SAVE_FLAGS \
                : "+a"(a), "=d"(*high), [f] "=r"(*flags) \
                : [v] "r"(b) \
                : "cc"); \
        return a; \
    }

#define ALU_MULTIPLY_8(op) \
    static inline u16 alu_##op##_wide8(u8 a, u8 b, u64 *flags) \
    { \
        u16 product = a; \
\
        __asm__(#op "b %[v]\n\t" ALU_SAVE_FLAGS \
                : "+a"(product), [f] "=r"(*flags) \
                : [v] "r"(b) \
                : "cc"); \
        return product; \
    }

/* *high:*low / value, which is known to fit: the quotient to *low, the remainder to *high. */
#define ALU_DIVIDE_64(op) \
    static inline void alu_##op##64(u64 * low, u64 * high, u64 value) \
    { \
        __asm__(#op "q %[v]" : "+a"(*low), "+d"(*high) : [v] "r"(value) : "cc"); \
    }

/* CMPXCHG of registers. Those that are not written keep their upper half, so they take part whole. */
#define ALU_CMPXCHG(bits, mod) \
    static inline void alu_cmpxchg##bits(u64 *dest, u64 *rax, u64 source, u64 *flags) \
    { \
        __asm__("cmpxchg %" mod "[s], %" mod "[d]\n\t" ALU_SAVE_FLAGS \
                : [d] "+r"(*dest), "+a"(*rax), [f] "=&r"(*flags) \
                : [s] "r"(source) \
                : "cc"); \
    }

/* BMI1 and BMI2 with two sources, in the order of the assembler's operands, the last one first. */
#define ALU_BMI(op, bits, first, second) \
    static inline u##bits alu_##op##bits(u##bits v, u##bits e, u64 *flags) \
    { \
        u##bits d; \
\
        __asm__(#op " %[" #first "], %[" #second "], %[d]\n\t" ALU_SAVE_FLAGS \
                : [d] "=r"(d), [f] "=r"(*flags) \
                : [v] "r"(v), [e] "r"(e) \
                : "cc"); \
        return d; \
    }

/* Those that write no flags. */
#define ALU_BMI_PLAIN(op, bits, first, second) \
    static inline u##bits alu_##op##bits(u##bits v, u##bits e, u64 *flags) \
    { \
        u##bits d; \
\
        (void)flags; \
        __asm__(#op " %[" #first "], %[" #second "], %[d]" \
                : [d] "=r"(d) \
                : [v] "r"(v), [e] "r"(e) \
                : "cc"); \
        return d; \
    }

#define ALU_BMI_ONE(op, bits) \
    static inline u##bits alu_##op##bits(u##bits e, u64 *flags) \
    { \
        u##bits d; \
\
        __asm__(#op " %[e], %[d]\n\t" ALU_SAVE_FLAGS \
                : [d] "=r"(d), [f] "=r"(*flags) \
                : [e] "r"(e) \
                : "cc"); \
        return d; \
    }

#define ALU_CRC32(bits, sum_type) \
    static inline u64 alu_crc32_##bits(u64 old, u##bits value) \
    { \
        sum_type sum = (sum_type)old; \
\
        __asm__("crc32" ALU_SUFFIX_##bits " %[v], %[s]" : [s] "+r"(sum) : [v] "r"(value)); \
        return sum; \
    }
