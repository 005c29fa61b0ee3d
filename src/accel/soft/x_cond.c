/* SPDX-License-Identifier: MIT */
/* SETcc and CMOVcc. */
#include "accel/soft/flags.h"
#include "accel/soft/handlers.h"
#include "accel/soft/operand.h"

#define SETCC(cc, test) \
    static inline u8 set##cc##_value(const struct cpu *cpu, const struct insn *in) \
    { \
        u64 f = cpu->aflags; \
\
        (void)in; \
        return test; \
    } \
\
    X_WRITE_E(set##cc, 8, set##cc##_value) \
    insn_fn *const x_set##cc##_E[8] = { [0] = set##cc##_r8, [4] = set##cc##_m8 };

CONDITIONS(SETCC)

/* The operand is read whatever the condition; a 32-bit destination is always zero-extended. */
#define CMOVCC_SIZE(cc, test, bits) \
    static inline void cmov##cc##_to_reg##bits(struct cpu *cpu, const struct insn *in, \
                                               u##bits value) \
    { \
        u64 f = cpu->aflags; \
\
        reg_set##bits(cpu, in->reg, test ? value : reg_get##bits(cpu, in->reg)); \
    } \
\
    X_READ_E(cmov##cc, bits, cmov##cc##_to_reg##bits)

#define CMOVCC(cc, test) \
    CMOVCC_SIZE(cc, test, 16) \
    CMOVCC_SIZE(cc, test, 32) \
    CMOVCC_SIZE(cc, test, 64) \
    X_TABLE_EV(x_cmov##cc##_G_E, cmov##cc)

CONDITIONS(CMOVCC)
