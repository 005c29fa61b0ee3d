/* SPDX-License-Identifier: MIT */
/* Guest and host code to text, both by our own decoder. */
#include "accel/soft/blocklog.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "accel/soft/cpuid.h"
#include "accel/soft/decode.h"
#include "base/log.h"

/* Bytes shown before the text; longer instructions push it to the right. */
#define BLOCKLOG_BYTES 10

static const char *const blocklog_classes[] = {
    [CLASS_COPY] = "copy", [CLASS_MEM] = "mem", [CLASS_FLOW] = "flow", [CLASS_STRING] = "string",
    [CLASS_CALL] = "call", [CLASS_SYS] = "sys", [CLASS_HOST] = "host",
};

static void blocklog_line(u64 address, const u8 *bytes, unsigned count, const char *text)
{
    char hex[3 * (INSN_MAX_LEN + 1)];
    size_t used = 0;

    hex[0] = 0;
    for (unsigned i = 0; i < MIN(count, (unsigned)INSN_MAX_LEN); i++)
        used += (size_t)snprintf(hex + used, sizeof(hex) - used, "%02x ", bytes[i]);
    log_line("0x%016" PRIx64 ": %-*s %s", address, BLOCKLOG_BYTES * 3, hex, text);
}

void blocklog_insn(const struct insn *in, const u8 *bytes, u64 rip, u32 mode)
{
    char text[96];

    insn_print(in, rip, mode, text, sizeof(text));
    blocklog_line(rip, bytes, in->len, text);
}

void blocklog_op(const struct insn *in, u64 rip)
{
    const struct insn_row *row = &insn_rows[in->row];

    log_line("op 0x%016" PRIx64 ": row %u %s, %s, size %u, address size %u, reg %u rm %u vreg %u, "
             "base %u index %u scale %u segment %u disp 0x%" PRIx64 " imm 0x%" PRIx64,
             rip, in->row, row->name, blocklog_classes[row->class], insn_osz(in), insn_asz(in),
             in->reg, in->rm, in->vreg, in->base, in->index, in->scale, in->seg, (u64)in->disp,
             in->imm);
}

void blocklog_host(const u8 *bytes, size_t size, const void *at, u64 rip, unsigned insns)
{
    static const u64 features[FEATURE_WORDS] = { [0 ... FEATURE_WORDS - 1] = UINT64_MAX };
    const u32 mode = MODE_CS_L | MODE_PE | MODE_LMA;
    u64 address = (u64)(uintptr_t)at;

    log_line("OUT: guest 0x%016" PRIx64 ", %u instructions, %zu bytes", rip, insns, size);
    while (size) {
        struct insn in;
        char text[96] = "?";
        unsigned length = 1;

        if (decode_insn(bytes, size, mode, features, &in) == DECODE_OK) {
            insn_print(&in, address, mode, text, sizeof(text));
            length = in.len;
        }
        blocklog_line(address, bytes, length, text);
        bytes += length;
        address += length;
        size -= length;
    }
}
