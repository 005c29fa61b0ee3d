/* SPDX-License-Identifier: MIT */
/*
 * Integer operations in plain C: see alu.h. SDM vol. 1, 3.4.3.1 and the instructions' pages of vol. 2. Flags that the
 * manual leaves undefined are cleared, or kept where that is simpler.
 *
 * The functions alu_c_* work on values of `bits` bits, zero-extended, and return such.
 */
#pragma once

#include "accel/soft/state.h"
#include "base/bits.h"
#include "base/types.h"

static inline u64 alu_c_mask(unsigned bits)
{
    return UINT64_MAX >> (64 - bits);
}

static inline bool alu_c_sign(u64 value, unsigned bits)
{
    return value >> (bits - 1) & 1;
}

static inline i64 alu_c_signed(u64 value, unsigned bits)
{
    return (i64)(value << (64 - bits)) >> (64 - bits);
}

/* SF, ZF and PF. */
static inline u64 alu_c_result_flags(u64 value, unsigned bits)
{
    u64 flags = alu_c_sign(value, bits) ? FLAG_SF : 0;

    if (!value)
        flags |= FLAG_ZF;
    if (!__builtin_parity((unsigned)(value & 0xFF)))
        flags |= FLAG_PF;
    return flags;
}

/* --- Addition and subtraction. Bit n of `carries` is the carry (borrow) out of bit n --- */

static inline u64 alu_c_carry_flags(u64 carries, unsigned bits)
{
    u64 flags = alu_c_sign(carries, bits) ? FLAG_CF : 0;

    if (carries & BIT(3))
        flags |= FLAG_AF;
    if (alu_c_sign(carries ^ carries << 1, bits))
        flags |= FLAG_OF;
    return flags;
}

static inline u64 alu_c_sum(u64 a, u64 b, bool carry, unsigned bits, u64 *flags)
{
    u64 sum = (a + b + carry) & alu_c_mask(bits);

    *flags = alu_c_result_flags(sum, bits) | alu_c_carry_flags((a & b) | ((a | b) & ~sum), bits);
    return sum;
}

static inline u64 alu_c_difference(u64 a, u64 b, bool borrow, unsigned bits, u64 *flags)
{
    u64 difference = (a - b - borrow) & alu_c_mask(bits);

    *flags = alu_c_result_flags(difference, bits) |
             alu_c_carry_flags((~a & b) | ((~a | b) & difference), bits);
    return difference;
}

static inline u64 alu_c_add(u64 a, u64 b, unsigned bits, u64 *flags)
{
    return alu_c_sum(a, b, false, bits, flags);
}

static inline u64 alu_c_adc(u64 a, u64 b, unsigned bits, u64 *flags)
{
    return alu_c_sum(a, b, *flags & FLAG_CF, bits, flags);
}

static inline u64 alu_c_sub(u64 a, u64 b, unsigned bits, u64 *flags)
{
    return alu_c_difference(a, b, false, bits, flags);
}

static inline u64 alu_c_sbb(u64 a, u64 b, unsigned bits, u64 *flags)
{
    return alu_c_difference(a, b, *flags & FLAG_CF, bits, flags);
}

static inline u64 alu_c_cmp(u64 a, u64 b, unsigned bits, u64 *flags)
{
    return alu_c_difference(a, b, false, bits, flags);
}

static inline u64 alu_c_neg(u64 a, unsigned bits, u64 *flags)
{
    return alu_c_difference(0, a, false, bits, flags);
}

/* INC and DEC keep the carry. */
static inline u64 alu_c_inc(u64 a, unsigned bits, u64 *flags)
{
    u64 carry = *flags & FLAG_CF, result = alu_c_sum(a, 1, false, bits, flags);

    *flags = (*flags & ~FLAG_CF) | carry;
    return result;
}

static inline u64 alu_c_dec(u64 a, unsigned bits, u64 *flags)
{
    u64 carry = *flags & FLAG_CF, result = alu_c_difference(a, 1, false, bits, flags);

    *flags = (*flags & ~FLAG_CF) | carry;
    return result;
}

/* --- Logic --- */

static inline u64 alu_c_and(u64 a, u64 b, unsigned bits, u64 *flags)
{
    *flags = alu_c_result_flags(a & b, bits);
    return a & b;
}

static inline u64 alu_c_test(u64 a, u64 b, unsigned bits, u64 *flags)
{
    return alu_c_and(a, b, bits, flags);
}

static inline u64 alu_c_or(u64 a, u64 b, unsigned bits, u64 *flags)
{
    *flags = alu_c_result_flags(a | b, bits);
    return a | b;
}

static inline u64 alu_c_xor(u64 a, u64 b, unsigned bits, u64 *flags)
{
    *flags = alu_c_result_flags(a ^ b, bits);
    return a ^ b;
}

/* --- Multiplication --- */

static inline u64 alu_c_product_flags(u64 low, bool overflow, unsigned bits)
{
    return alu_c_result_flags(low, bits) | (overflow ? FLAG_CF | FLAG_OF : 0);
}

static inline u64 alu_c_mul_wide(u64 a, u64 b, unsigned bits, u64 *high, u64 *flags)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    u64 low = (u64)product & alu_c_mask(bits);

    *high = (u64)(product >> bits) & alu_c_mask(bits);
    *flags = alu_c_product_flags(low, *high != 0, bits);
    return low;
}

static inline u64 alu_c_imul_wide(u64 a, u64 b, unsigned bits, u64 *high, u64 *flags)
{
    __int128 product = (__int128)alu_c_signed(a, bits) * alu_c_signed(b, bits);
    u64 low = (u64)product & alu_c_mask(bits);

    *high = (u64)(product >> bits) & alu_c_mask(bits);
    *flags = alu_c_product_flags(low, product != alu_c_signed(low, bits), bits);
    return low;
}

static inline u64 alu_c_imul(u64 a, u64 b, unsigned bits, u64 *flags)
{
    u64 high;

    return alu_c_imul_wide(a, b, bits, &high, flags);
}

/* --- Shifts and rotates. A count of zero changes nothing --- */

static inline unsigned alu_c_count(u8 count, unsigned bits)
{
    return count & (bits == 64 ? 63u : 31u);
}

/* All flags of a shift: CF is the last bit shifted out; OF is defined for a count of one only. */
static inline u64 alu_c_shifted(u64 result, bool carry, bool overflow, unsigned bits, u64 *flags)
{
    *flags = alu_c_result_flags(result, bits) | (carry ? FLAG_CF : 0) | (overflow ? FLAG_OF : 0);
    return result;
}

static inline u64 alu_c_shl(u64 a, u8 count, unsigned bits, u64 *flags)
{
    unsigned n = alu_c_count(count, bits);
    bool carry = n <= bits && n && (a >> (bits - n) & 1);
    u64 result = n < bits ? a << n & alu_c_mask(bits) : 0;

    if (!n)
        return a;
    return alu_c_shifted(result, carry, alu_c_sign(result, bits) != carry, bits, flags);
}

static inline u64 alu_c_shr(u64 a, u8 count, unsigned bits, u64 *flags)
{
    unsigned n = alu_c_count(count, bits);

    if (!n)
        return a;
    return alu_c_shifted(a >> n, a >> (n - 1) & 1, alu_c_sign(a, bits), bits, flags);
}

static inline u64 alu_c_sar(u64 a, u8 count, unsigned bits, u64 *flags)
{
    unsigned n = alu_c_count(count, bits);
    i64 value = alu_c_signed(a, bits);

    if (!n)
        return a;
    return alu_c_shifted((u64)(value >> n) & alu_c_mask(bits), value >> (n - 1) & 1, false, bits,
                         flags);
}

/* Rotates write CF and OF only. */
static inline u64 alu_c_rotated(u64 result, bool carry, bool overflow, u64 *flags)
{
    *flags =
        (*flags & ~(u64)(FLAG_CF | FLAG_OF)) | (carry ? FLAG_CF : 0) | (overflow ? FLAG_OF : 0);
    return result;
}

static inline u64 alu_c_rol(u64 a, u8 count, unsigned bits, u64 *flags)
{
    unsigned n = alu_c_count(count, bits), by = n % bits;
    u64 result = by ? (a << by | a >> (bits - by)) & alu_c_mask(bits) : a;

    if (!n)
        return a;
    return alu_c_rotated(result, result & 1, alu_c_sign(result, bits) != (result & 1), flags);
}

static inline u64 alu_c_ror(u64 a, u8 count, unsigned bits, u64 *flags)
{
    unsigned n = alu_c_count(count, bits), by = n % bits;
    u64 result = by ? (a >> by | a << (bits - by)) & alu_c_mask(bits) : a;
    bool top = alu_c_sign(result, bits);

    if (!n)
        return a;
    return alu_c_rotated(result, top, top != alu_c_sign(result << 1, bits), flags);
}

/* Through the carry, bit by bit. */
static inline u64 alu_c_rcl(u64 a, u8 count, unsigned bits, u64 *flags)
{
    unsigned n = alu_c_count(count, bits) % (bits + 1);
    bool carry = *flags & FLAG_CF;

    if (!n)
        return a;
    for (unsigned i = 0; i < n; i++) {
        bool out = alu_c_sign(a, bits);

        a = (a << 1 | carry) & alu_c_mask(bits);
        carry = out;
    }
    return alu_c_rotated(a, carry, alu_c_sign(a, bits) != carry, flags);
}

static inline u64 alu_c_rcr(u64 a, u8 count, unsigned bits, u64 *flags)
{
    unsigned n = alu_c_count(count, bits) % (bits + 1);
    bool carry = *flags & FLAG_CF;

    if (!n)
        return a;
    for (unsigned i = 0; i < n; i++) {
        bool out = a & 1;

        a = a >> 1 | (u64)carry << (bits - 1);
        carry = out;
    }
    return alu_c_rotated(a, carry, alu_c_sign(a ^ a << 1, bits), flags);
}

/* 16-bit operands with counts over 16 (undefined) rotate through both. */
static inline u64 alu_c_shld(u64 a, u64 b, u8 count, unsigned bits, u64 *flags)
{
    unsigned n = alu_c_count(count, bits);
    unsigned __int128 both = (unsigned __int128)a << bits | b;
    u64 result;
    bool carry;

    if (!n)
        return a;
    if (n > bits)
        both = both << bits | a;
    result = (u64)(both >> ((n > bits ? 2 * bits : bits) - n)) & alu_c_mask(bits);
    carry = n > bits ? b >> (2 * bits - n) & 1 : a >> (bits - n) & 1;
    return alu_c_shifted(result, carry, alu_c_sign(result ^ a, bits), bits, flags);
}

static inline u64 alu_c_shrd(u64 a, u64 b, u8 count, unsigned bits, u64 *flags)
{
    unsigned n = alu_c_count(count, bits);
    unsigned __int128 both = (unsigned __int128)b << bits | a;
    u64 result;

    if (!n)
        return a;
    if (n > bits)
        both |= (unsigned __int128)a << (2 * bits);
    result = (u64)(both >> n) & alu_c_mask(bits);
    return alu_c_shifted(result, both >> (n - 1) & 1, alu_c_sign(result ^ a, bits), bits, flags);
}

/* --- Scans and counts: of the whole destination register what the size writes --- */

static inline u64 alu_c_merge(u64 old, u64 value, unsigned bits)
{
    return bits == 16 ? (old & ~UINT64_C(0xFFFF)) | value : value;
}

/* Of zero, BSF and BSR leave the destination alone. */
static inline u64 alu_c_bsf(u64 old, u64 value, unsigned bits, u64 *flags)
{
    *flags = value ? 0 : FLAG_ZF;
    return value ? alu_c_merge(old, (u64)__builtin_ctzll(value), bits) : old;
}

static inline u64 alu_c_bsr(u64 old, u64 value, unsigned bits, u64 *flags)
{
    *flags = value ? 0 : FLAG_ZF;
    return value ? alu_c_merge(old, 63 - (u64)__builtin_clzll(value), bits) : old;
}

static inline u64 alu_c_counted(u64 old, u64 result, bool zero, unsigned bits, u64 *flags)
{
    *flags = (zero ? FLAG_CF : 0) | (result ? 0 : FLAG_ZF);
    return alu_c_merge(old, result, bits);
}

static inline u64 alu_c_tzcnt(u64 old, u64 value, unsigned bits, u64 *flags)
{
    u64 result = value ? (u64)__builtin_ctzll(value) : bits;

    return alu_c_counted(old, result, !value, bits, flags);
}

static inline u64 alu_c_lzcnt(u64 old, u64 value, unsigned bits, u64 *flags)
{
    u64 result = value ? (u64)__builtin_clzll(value) - (64 - bits) : bits;

    return alu_c_counted(old, result, !value, bits, flags);
}

static inline u64 alu_c_popcnt(u64 old, u64 value, unsigned bits, u64 *flags)
{
    *flags = value ? 0 : FLAG_ZF;
    return alu_c_merge(old, (u64)__builtin_popcountll(value), bits);
}

/* --- BMI1 and BMI2: `v` is the operand of VEX.vvvv --- */

static inline u64 alu_c_andn(u64 v, u64 e, unsigned bits, u64 *flags)
{
    return alu_c_and(~v & alu_c_mask(bits), e, bits, flags);
}

static inline u64 alu_c_bextr(u64 v, u64 e, unsigned bits, u64 *flags)
{
    unsigned start = v & 0xFF, length = v >> 8 & 0xFF;
    u64 result = start < bits ? e >> start : 0;

    if (length < bits)
        result &= BIT64(length) - 1;
    *flags = result ? 0 : FLAG_ZF;
    return result;
}

static inline u64 alu_c_bzhi(u64 v, u64 e, unsigned bits, u64 *flags)
{
    unsigned from = v & 0xFF;
    u64 result = from < bits ? e & (BIT64(from) - 1) : e;

    *flags = alu_c_result_flags(result, bits) | (from >= bits ? FLAG_CF : 0);
    return result;
}

/* The low bits of `v` to where `e` has ones. */
static inline u64 alu_c_pdep(u64 v, u64 e, unsigned bits, u64 *flags)
{
    u64 result = 0;

    (void)bits;
    (void)flags;
    for (; e; e &= e - 1, v >>= 1)
        if (v & 1)
            result |= e & -e;
    return result;
}

static inline u64 alu_c_pext(u64 v, u64 e, unsigned bits, u64 *flags)
{
    u64 result = 0;

    (void)bits;
    (void)flags;
    for (unsigned i = 0; e; e &= e - 1, i++)
        if (v & e & -e)
            result |= BIT64(i);
    return result;
}

static inline u64 alu_c_shlx(u64 v, u64 e, unsigned bits, u64 *flags)
{
    (void)flags;
    return e << (v & (bits - 1)) & alu_c_mask(bits);
}

static inline u64 alu_c_shrx(u64 v, u64 e, unsigned bits, u64 *flags)
{
    (void)flags;
    return e >> (v & (bits - 1));
}

static inline u64 alu_c_sarx(u64 v, u64 e, unsigned bits, u64 *flags)
{
    (void)flags;
    return (u64)(alu_c_signed(e, bits) >> (v & (bits - 1))) & alu_c_mask(bits);
}

static inline u64 alu_c_blsr(u64 e, unsigned bits, u64 *flags)
{
    u64 result = e & (e - 1);

    *flags = alu_c_result_flags(result, bits) | (e ? 0 : FLAG_CF);
    return result;
}

static inline u64 alu_c_blsmsk(u64 e, unsigned bits, u64 *flags)
{
    u64 result = (e ^ (e - 1)) & alu_c_mask(bits);

    *flags = alu_c_result_flags(result, bits) | (e ? 0 : FLAG_CF);
    return result;
}

static inline u64 alu_c_blsi(u64 e, unsigned bits, u64 *flags)
{
    u64 result = e & -e;

    *flags = alu_c_result_flags(result, bits) | (e ? FLAG_CF : 0);
    return result;
}

/* CRC-32C, bits reversed: a step for each bit. */
static inline u64 alu_c_crc32(u64 old, u64 value, unsigned bits)
{
    u64 sum = (u32)old;

    for (unsigned i = 0; i < bits; i++) {
        bool one = (sum ^ value) & 1;

        sum >>= 1;
        value >>= 1;
        if (one)
            sum ^= 0x82F63B78;
    }
    return sum;
}

/* --- The macros of alu.h --- */

#define ALU_BINARY(op, bits) \
    static inline u##bits alu_##op##bits(u##bits a, u##bits b, u64 *flags) \
    { \
        return (u##bits)alu_c_##op(a, b, bits, flags); \
    }

#define ALU_BINARY_CARRY(op, bits) ALU_BINARY(op, bits)

#define ALU_UNARY(op, bits) \
    static inline u##bits alu_##op##bits(u##bits a, u64 *flags) \
    { \
        return (u##bits)alu_c_##op(a, bits, flags); \
    }

#define ALU_COMPARE(op, bits) \
    static inline void alu_##op##bits(u##bits a, u##bits b, u64 *flags) \
    { \
        alu_c_##op(a, b, bits, flags); \
    }

#define ALU_SHIFT(op, bits) \
    static inline u##bits alu_##op##bits(u##bits a, u8 count, u64 *flags) \
    { \
        return (u##bits)alu_c_##op(a, count, bits, flags); \
    }

#define ALU_SHIFT_1(op, bits) \
    static inline u##bits alu_##op##_1_##bits(u##bits a, u64 *flags) \
    { \
        return (u##bits)alu_c_##op(a, 1, bits, flags); \
    }

#define ALU_SHIFT_SURE(op, bits) \
    static inline u##bits alu_##op##_sure##bits(u##bits a, u8 count, u64 *flags) \
    { \
        return (u##bits)alu_c_##op(a, count, bits, flags); \
    }

#define ALU_SHIFT_DOUBLE(op, bits) \
    static inline u##bits alu_##op##bits(u##bits a, u##bits b, u8 count, u64 *flags) \
    { \
        return (u##bits)alu_c_##op(a, b, count, bits, flags); \
    }

#define ALU_SCAN(op, bits, mod) \
    static inline u64 alu_##op##bits(u64 dst, u##bits src, u64 *flags) \
    { \
        return alu_c_##op(dst, src, bits, flags); \
    }

#define ALU_MULTIPLY(op, bits) \
    static inline u##bits alu_##op##_wide##bits(u##bits a, u##bits b, u##bits *high, u64 *flags) \
    { \
        u64 upper, low = alu_c_##op##_wide(a, b, bits, &upper, flags); \
\
        *high = (u##bits)upper; \
        return (u##bits)low; \
    }

#define ALU_MULTIPLY_8(op) \
    static inline u16 alu_##op##_wide8(u8 a, u8 b, u64 *flags) \
    { \
        u64 upper, low = alu_c_##op##_wide(a, b, 8, &upper, flags); \
\
        return (u16)(upper << 8 | low); \
    }

static inline void alu_c_div(u64 *low, u64 *high, u64 value)
{
    unsigned __int128 dividend = (unsigned __int128)*high << 64 | *low;

    *low = (u64)(dividend / value);
    *high = (u64)(dividend % value);
}

static inline void alu_c_idiv(u64 *low, u64 *high, u64 value)
{
    __int128 dividend = (__int128)((unsigned __int128)*high << 64 | *low);

    *low = (u64)(dividend / (i64)value);
    *high = (u64)(dividend % (i64)value);
}

#define ALU_DIVIDE_64(op) \
    static inline void alu_##op##64(u64 * low, u64 * high, u64 value) \
    { \
        alu_c_##op(low, high, value); \
    }

#define ALU_CMPXCHG(bits, mod) \
    static inline void alu_cmpxchg##bits(u64 *dest, u64 *rax, u64 source, u64 *flags) \
    { \
        alu_c_cmp((u##bits) * rax, (u##bits) * dest, bits, flags); \
        if (*flags & FLAG_ZF) \
            *dest = alu_c_merge(*dest, (u##bits)source, bits); \
        else \
            *rax = alu_c_merge(*rax, (u##bits) * dest, bits); \
    }

#define ALU_BMI(op, bits, first, second) \
    static inline u##bits alu_##op##bits(u##bits v, u##bits e, u64 *flags) \
    { \
        return (u##bits)alu_c_##op(v, e, bits, flags); \
    }

#define ALU_BMI_PLAIN(op, bits, first, second) ALU_BMI(op, bits, first, second)

#define ALU_BMI_ONE(op, bits) \
    static inline u##bits alu_##op##bits(u##bits e, u64 *flags) \
    { \
        return (u##bits)alu_c_##op(e, bits, flags); \
    }

#define ALU_CRC32(bits, sum_type) \
    static inline u64 alu_crc32_##bits(u64 old, u##bits value) \
    { \
        return alu_c_crc32(old, value, bits); \
    }
