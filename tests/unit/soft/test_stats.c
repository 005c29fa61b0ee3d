/* SPDX-License-Identifier: MIT */
/* -d stats: what is counted, what is printed of it; and the log's lines of code. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "accel/soft/blocklog.h"
#include "accel/soft/cpuid.h"
#include "accel/soft/decode.h"
#include "accel/soft/fault.h"
#include "accel/soft/stats.h"
#include "base/log.h"
#include "machine/vcpu.h"

#define LONG_MODE (MODE_CS_L | MODE_PE | MODE_LMA)

struct fixture {
    struct cpu *cpu;
    struct vcpu vcpu;
    char path[64];
    char text[8192];
};

static int fixture_make(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct error err;
    int fd;

    assert_non_null(f);
    f->cpu = aligned_alloc(64, (sizeof(*f->cpu) + 63) & ~(size_t)63);
    assert_non_null(f->cpu);
    memset(f->cpu, 0, sizeof(*f->cpu));
    f->cpu->vcpu = &f->vcpu;
    strcpy(f->path, "/tmp/mote-stats-XXXXXX");
    fd = mkstemp(f->path);
    assert_true(fd >= 0);
    close(fd);
    assert_true(log_open(f->path, &err));
    *state = f;
    return 0;
}

static int fixture_free(void **state)
{
    struct fixture *f = *state;

    log_close();
    unlink(f->path);
    stats_free(f->cpu->stats);
    free(f->cpu);
    free(f);
    return 0;
}

/* What the log has so far. */
static const char *logged(struct fixture *f)
{
    FILE *file = fopen(f->path, "r");
    size_t n;

    assert_non_null(file);
    n = fread(f->text, 1, sizeof(f->text) - 1, file);
    fclose(file);
    f->text[n] = 0;
    return f->text;
}

static void nothing_is_counted_when_off(void **state)
{
    struct fixture *f = *state;

    stats_enter(f->cpu, STATS_IDLE);
    stats_returned(f->cpu, STATS_LINK);
    stats_handled(f->cpu, 3);
    stats_delivered(f->cpu, true, 0xEC);
    stats_log(f->cpu);
    assert_string_equal(logged(f), "");
}

static void instructions_count_for_the_tier_that_ran_them(void **state)
{
    struct fixture *f = *state;
    struct cpu *cpu = f->cpu;

    cpu->stats = stats_new();
    stats_enter(cpu, STATS_INTERPRETED);
    cpu->icount += 30;
    stats_enter(cpu, STATS_TRANSLATED);
    cpu->icount += 70;
    stats_enter(cpu, STATS_LOOP);
    assert_int_equal(cpu->stats->icount[STATS_INTERPRETED], 30);
    assert_int_equal(cpu->stats->icount[STATS_TRANSLATED], 70);
    assert_int_equal(cpu->stats->entries[STATS_TRANSLATED], 1);
    stats_log(cpu);
    assert_non_null(strstr(logged(f), "entered 1 times, 70 instructions (70.0 %)"));
}

static void the_most_frequent_come_first(void **state)
{
    struct fixture *f = *state;
    struct cpu *cpu = f->cpu;

    cpu->stats = stats_new();
    stats_delivered(cpu, false, VEC_GP);
    for (unsigned i = 0; i < 3; i++)
        stats_delivered(cpu, false, VEC_PF);
    stats_delivered(cpu, true, 0xEC);
    stats_log(cpu);
    assert_non_null(strstr(logged(f), "exceptions: 0x0e 3, 0x0d 1\n"));
    assert_non_null(strstr(logged(f), "interrupts: 0xec 1\n"));
    assert_non_null(
        strstr(logged(f), "0 instructions left to their handlers by translated code: none\n"));
}

/* Of 100 blocks 10 were entered by the run loop or by way of being linked. */
static void chained_share_is_of_all_translated_blocks(void **state)
{
    struct fixture *f = *state;
    struct cpu *cpu = f->cpu;

    cpu->stats = stats_new();
    for (unsigned i = 0; i < 8; i++)
        stats_enter(cpu, STATS_TRANSLATED);
    stats_returned(cpu, STATS_LINK);
    stats_returned(cpu, STATS_LINK);
    cpu->stat_translated = 100;
    stats_log(cpu);
    assert_non_null(
        strstr(logged(f), "100 translated blocks run, 90.00 % of them from another one"));
}

static void guest_code_shows_bytes_and_text(void **state)
{
    static const u64 features[FEATURE_WORDS] = { [0 ... FEATURE_WORDS - 1] = UINT64_MAX };
    static const u8 pshufd[] = { 0x66, 0x0F, 0x70, 0xC1, 0x93 };
    struct fixture *f = *state;
    struct insn in;

    assert_int_equal(decode_insn(pshufd, sizeof(pshufd), LONG_MODE, features, &in), DECODE_OK);
    blocklog_insn(&in, pshufd, 0x1000, LONG_MODE);
    blocklog_op(&in, 0x1000);
    assert_non_null(strstr(logged(f), "0x0000000000001000: 66 0f 70 c1 93 "));
    assert_non_null(strstr(logged(f), " pshufd xmm0,xmm1,0x93\n"));
    assert_non_null(strstr(logged(f), "op 0x0000000000001000: row "));
    assert_non_null(strstr(logged(f), "pshufd, host, "));
    assert_non_null(strstr(logged(f), "imm 0x93\n"));
}

/* A byte that is no instruction is skipped, and what follows is shown. */
static void host_code_is_shown_to_its_end(void **state)
{
    static const u8 code[] = { 0x48, 0x01, 0xD8, 0x06, 0xC3 };
    struct fixture *f = *state;

    blocklog_host(code, sizeof(code), (const void *)0x5000, 0xABC, 2);
    assert_non_null(strstr(logged(f), "OUT: guest 0x0000000000000abc, 2 instructions, 5 bytes\n"));
    assert_non_null(strstr(logged(f), "0x0000000000005000: 48 01 d8"));
    assert_non_null(strstr(logged(f), " add rax,rbx\n"));
    assert_non_null(strstr(logged(f), " ?\n"));
    assert_non_null(strstr(logged(f), "0x0000000000005004: c3 "));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_make, fixture_free)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_counted_when_off),     TEST(instructions_count_for_the_tier_that_ran_them),
        TEST(the_most_frequent_come_first),    TEST(chained_share_is_of_all_translated_blocks),
        TEST(guest_code_shows_bytes_and_text), TEST(host_code_is_shown_to_its_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
