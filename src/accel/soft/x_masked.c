/* SPDX-License-Identifier: MIT */
/*
 * Moves that touch memory only where a mask says so: VMASKMOVPS/PD, VPMASKMOVD/Q, MASKMOVDQU, MASKMOVQ, and the
 * gathers. Elements that the mask leaves out cause no fault (SDM vol. 2, the instructions' pages).
 */
#include <string.h>

#include "accel/soft/decode.h"
#include "accel/soft/handlers.h"
#include "accel/soft/simd.h"

/* Copy `size` bytes, a power of two up to 16, at byte `pos` of YMM register n. */
static const u8 *ymm_at(const struct cpu *cpu, unsigned n, unsigned pos)
{
    return pos < 16 ? &cpu->xsave.xmm[n][pos] : &cpu->xsave.ymm_hi[n][pos - 16];
}

static void ymm_put(struct cpu *cpu, unsigned n, unsigned pos, u64 value, unsigned size)
{
    u8 *p = pos < 16 ? &cpu->xsave.xmm[n][pos] : &cpu->xsave.ymm_hi[n][pos - 16];

    memcpy(p, &value, size);
}

/* Clear register n from byte `pos`, a multiple of 8, to its end. */
static void ymm_clear_from(struct cpu *cpu, unsigned n, unsigned pos)
{
    for (; pos < 32; pos += 8)
        ymm_put(cpu, n, pos, 0, 8);
}

static u64 masked_load(struct cpu *cpu, const struct insn *in, gva addr, unsigned size)
{
    return size == 4 ? mem_load32(cpu, in, addr) : mem_load64(cpu, in, addr);
}

/* A bit for each of `count` elements of register n whose sign bit is set. */
static u32 masked_bits(const struct cpu *cpu, unsigned n, unsigned size, unsigned count)
{
    u32 bits = 0;

    for (unsigned i = 0; i < count; i++)
        bits |= (u32)(*ymm_at(cpu, n, i * size + size - 1) >> 7) << i;
    return bits;
}

/* Linear address of the part of the memory operand at byte `pos`. */
static gva masked_addr(struct cpu *cpu, const struct insn *in, unsigned pos, unsigned size,
                       bool write)
{
    u64 offset = insn_offset(cpu, in) + pos;

    if (likely(in->flags & INSN_FLAT))
        return offset;
    return mem_seg_addr(cpu, in, offset, size, write);
}

/*
 * Store the elements of `data` that `bits` names; `addr` is that of the first of them. All pages that hold one are
 * checked first: no page lies between the first and the last.
 *
 * NOT EMULATED: elements left out between two pages are written back as they were read, so a store to them by
 * another CPU at that moment may be lost.
 */
static void masked_store(struct cpu *cpu, const struct insn *in, gva addr, const u8 *data, u32 bits,
                         unsigned size)
{
    unsigned first = (unsigned)__builtin_ctz(bits);
    unsigned last = 31 - (unsigned)__builtin_clz(bits);
    unsigned span = (last - first + 1) * size;
    u8 *p = mem_rmw(cpu, in, addr, span);

    for (unsigned i = first; i <= last; i++)
        if (bits >> i & 1)
            memcpy(p + (i - first) * size, data + i * size, size);
    mem_rmw_end(cpu, in, addr, p, span);
}

/* --- VMASKMOV: ModRM.reg is the data, VEX.vvvv the mask --- */

static unsigned vmaskmov_count(const struct insn *in, unsigned size)
{
    return (in->flags & INSN_VEX_L ? 32 : 16) / size;
}

static void vmaskmov_load(struct cpu *cpu, const struct insn *in, unsigned size)
{
    unsigned count = vmaskmov_count(in, size);
    u32 bits = masked_bits(cpu, in->vreg, size, count);
    u8 result[32] = { 0 };

    for (unsigned i = 0; i < count; i++) {
        u64 value;

        if (!(bits >> i & 1))
            continue;
        value = masked_load(cpu, in, masked_addr(cpu, in, i * size, size, false), size);
        memcpy(&result[i * size], &value, size);
    }
    memcpy(cpu->xsave.xmm[in->reg], result, 16);
    memcpy(cpu->xsave.ymm_hi[in->reg], result + 16, 16);
}

static void vmaskmov_store(struct cpu *cpu, const struct insn *in, unsigned size)
{
    unsigned count = vmaskmov_count(in, size);
    u32 bits = masked_bits(cpu, in->vreg, size, count);
    unsigned first, last;
    u8 data[32];

    if (!bits)
        return;
    first = (unsigned)__builtin_ctz(bits);
    last = 31 - (unsigned)__builtin_clz(bits);
    memcpy(data, cpu->xsave.xmm[in->reg], 16);
    memcpy(data + 16, cpu->xsave.ymm_hi[in->reg], 16);
    masked_store(cpu, in, masked_addr(cpu, in, first * size, (last - first + 1) * size, true), data,
                 bits, size);
}

static void vmaskmov32_load(struct cpu *cpu, const struct insn *in)
{
    fpu_check_avx(cpu, in);
    vmaskmov_load(cpu, in, 4);
    INSN_NEXT(cpu, in);
}

static void vmaskmov64_load(struct cpu *cpu, const struct insn *in)
{
    fpu_check_avx(cpu, in);
    vmaskmov_load(cpu, in, 8);
    INSN_NEXT(cpu, in);
}

static void vmaskmov32_store(struct cpu *cpu, const struct insn *in)
{
    fpu_check_avx(cpu, in);
    vmaskmov_store(cpu, in, 4);
    INSN_NEXT(cpu, in);
}

static void vmaskmov64_store(struct cpu *cpu, const struct insn *in)
{
    fpu_check_avx(cpu, in);
    vmaskmov_store(cpu, in, 8);
    INSN_NEXT(cpu, in);
}

insn_fn *const x_vmaskmov32_V_M[8] = X_MEM(vmaskmov32_load);
insn_fn *const x_vmaskmov64_V_M[8] = X_MEM(vmaskmov64_load);
insn_fn *const x_vmaskmov32_M_V[8] = X_MEM(vmaskmov32_store);
insn_fn *const x_vmaskmov64_M_V[8] = X_MEM(vmaskmov64_store);

/* --- MASKMOVDQU, MASKMOVQ: bytes of ModRM.reg to [rDI], mask in ModRM.rm --- */

static void maskmov_bytes(struct cpu *cpu, const struct insn *in, const u8 *data, const u8 *mask,
                          unsigned count)
{
    static const u64 address_masks[] = { 0, 0xFFFF, 0xFFFFFFFF, ~(u64)0 };
    u64 limit = address_masks[(in->flags & INSN_ASZ) >> INSN_ASZ_SHIFT];
    u32 bits = 0;
    unsigned first, last;
    gva addr;

    for (unsigned i = 0; i < count; i++)
        bits |= (u32)(mask[i] >> 7) << i;
    if (!bits)
        return;
    first = (unsigned)__builtin_ctz(bits);
    last = 31 - (unsigned)__builtin_clz(bits);
    addr =
        mem_seg_linear(cpu, in, in->seg, (cpu->gpr[RDI] + first) & limit, last - first + 1, true);
    masked_store(cpu, in, addr, data, bits, 1);
}

static void maskmovdqu(struct cpu *cpu, const struct insn *in)
{
    fpu_check_sse(cpu, in);
    maskmov_bytes(cpu, in, cpu->xsave.xmm[in->reg], cpu->xsave.xmm[in->rm], 16);
    INSN_NEXT(cpu, in);
}

static void vmaskmovdqu(struct cpu *cpu, const struct insn *in)
{
    fpu_check_avx(cpu, in);
    maskmov_bytes(cpu, in, cpu->xsave.xmm[in->reg], cpu->xsave.xmm[in->rm], 16);
    INSN_NEXT(cpu, in);
}

static void maskmovq(struct cpu *cpu, const struct insn *in)
{
    unsigned top = FIELD_GET(FSW_TOP, cpu->xsave.fsw);

    fpu_check_mmx(cpu, in);
    maskmov_bytes(cpu, in, cpu->xsave.st[(in->reg - top) % 8], cpu->xsave.st[(in->rm - top) % 8],
                  8);
    fpu_enter_mmx(cpu);
    INSN_NEXT(cpu, in);
}

insn_fn *const x_maskmovdqu[8] = X_REG(maskmovdqu);
insn_fn *const x_vmaskmovdqu[8] = X_REG(vmaskmovdqu);
insn_fn *const x_maskmovq[8] = X_REG(maskmovq);

/* --- Gathers: ModRM.reg is the result, VEX.vvvv the mask, the SIB's index a register of indexes --- */

/* Sizes in bytes: of an index, of an element. */
struct gather_form {
    u8 index;
    u8 element;
};

static gva gather_addr(struct cpu *cpu, const struct insn *in, struct gather_form form, unsigned i)
{
    u64 offset = cpu->gpr[in->base] + (u64)(i64)in->disp;
    i64 index = 0;
    i32 index32;

    if (form.index == 8) {
        memcpy(&index, ymm_at(cpu, in->index, i * 8), 8);
    } else {
        memcpy(&index32, ymm_at(cpu, in->index, i * 4), 4);
        index = index32;
    }
    offset += (u64)index << in->scale;
    if (likely(in->flags & INSN_FLAT))
        return offset;
    return mem_seg_addr(cpu, in, offset, form.element, false);
}

/* Every mask element becomes all ones or zero, by its sign; what lies above the mask is cleared. */
static void gather_expand_mask(struct cpu *cpu, const struct insn *in, unsigned size,
                               unsigned bytes)
{
    for (unsigned pos = 0; pos < bytes; pos += size) {
        u64 ones = *ymm_at(cpu, in->vreg, pos + size - 1) >> 7 ? ~(u64)0 : 0;

        ymm_put(cpu, in->vreg, pos, ones, size);
    }
    ymm_clear_from(cpu, in->vreg, bytes);
}

/*
 * Elements are loaded in order, and the mask's element is cleared with each: after a fault in the middle the
 * instruction goes on where it was (SDM vol. 2, VGATHERDPS).
 */
static void gather(struct cpu *cpu, const struct insn *in, struct gather_form form)
{
    unsigned size = form.element;
    unsigned count = (in->flags & INSN_VEX_L ? 32 : 16) / MAX(form.index, size);

    fpu_check_avx(cpu, in);
    if (in->reg == in->index || in->reg == in->vreg || in->index == in->vreg)
        cpu_ud(cpu, in);
    gather_expand_mask(cpu, in, size, in->flags & INSN_VEX_L ? 32 : 16);
    for (unsigned i = 0; i < count; i++) {
        if (*ymm_at(cpu, in->vreg, i * size + size - 1) >> 7) {
            ymm_put(cpu, in->reg, i * size,
                    masked_load(cpu, in, gather_addr(cpu, in, form, i), size), size);
            ymm_clear_from(cpu, in->reg, in->flags & INSN_VEX_L ? 32 : 16);
        }
        ymm_put(cpu, in->vreg, i * size, 0, size);
    }
    ymm_clear_from(cpu, in->reg, count * size);
    ymm_clear_from(cpu, in->vreg, 0);
}

static void gather_d32(struct cpu *cpu, const struct insn *in)
{
    gather(cpu, in, (struct gather_form){ 4, 4 });
    INSN_NEXT(cpu, in);
}

static void gather_d64(struct cpu *cpu, const struct insn *in)
{
    gather(cpu, in, (struct gather_form){ 4, 8 });
    INSN_NEXT(cpu, in);
}

static void gather_q32(struct cpu *cpu, const struct insn *in)
{
    gather(cpu, in, (struct gather_form){ 8, 4 });
    INSN_NEXT(cpu, in);
}

static void gather_q64(struct cpu *cpu, const struct insn *in)
{
    gather(cpu, in, (struct gather_form){ 8, 8 });
    INSN_NEXT(cpu, in);
}

insn_fn *const x_vgather_d32[8] = X_MEM(gather_d32);
insn_fn *const x_vgather_d64[8] = X_MEM(gather_d64);
insn_fn *const x_vgather_q32[8] = X_MEM(gather_q32);
insn_fn *const x_vgather_q64[8] = X_MEM(gather_q64);
