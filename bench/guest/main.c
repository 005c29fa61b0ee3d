/* SPDX-License-Identifier: MIT */
/*
 * The runner. Settings come from the environment, which the kernel fills from its command line for its init:
 *
 *   BENCH_MS=30          milliseconds for each subtest
 *   BENCH_ONLY=memory/   only subtests whose group/name holds this text
 *   BENCH_TSC_KHZ=N      rate of the TSC, from a run outside; without it, it is measured
 *
 * Time is taken from the TSC, which here counts the host's time in all engines: a guest kernel's own clock may be
 * coarse or calibrated badly. Each subtest prints the best of a few runs:
 *
 *   bench GROUP/NAME NS-PER-OPERATION CHECKSUM BYTES
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "bench.h"

#define RUNS 3 /* of which the fastest counts */

u8 *arena;
const char *self;

static double ticks_per_ns;

static const struct {
    const char *name;
    const struct subtest *tests;
} groups[] = {
    { "integer", integer_tests }, { "memory", memory_tests }, { "float", float_tests },
    { "crypto", crypto_tests },   { "system", system_tests }, { "code", code_tests },
    { "smp", smp_tests },
};

/* As init, the end of the process would be a panic: the machine is reset instead. */
static _Noreturn void bench_end(int status)
{
    fflush(stdout);
    if (getpid() == 1)
        reboot(RB_AUTOBOOT);
    _exit(status);
}

_Noreturn void bench_die(const char *what)
{
    printf("bench-failed %s\n", what);
    bench_end(1);
}

static u64 clock_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
    return (u64)ts.tv_sec * 1000000000u + (u64)ts.tv_nsec;
}

static double clock_measure(void)
{
    u64 ns = clock_now(), tsc = __rdtsc(), end;

    do {
        end = clock_now();
    } while (end - ns < 50000000u);
    return (double)(__rdtsc() - tsc) / (double)(end - ns);
}

/* Nanoseconds that `n` operations take. */
static double subtest_time(const struct subtest *t, u64 n)
{
    u64 start;

    if (t->setup)
        t->setup();
    start = __rdtsc();
    t->run(n);
    return (double)(__rdtsc() - start) / ticks_per_ns;
}

/* The least of a few runs of `n` operations. */
static double subtest_best(const struct subtest *t, u64 n)
{
    double best = subtest_time(t, n);

    for (unsigned i = 1; i < RUNS; i++) {
        double took = subtest_time(t, n);

        best = took < best ? took : best;
    }
    return best;
}

/* More and more operations, until the fastest run is so long that its beginning (a thread, a child) counts little. */
static double subtest_measure(const struct subtest *t, double ns)
{
    double best = subtest_best(t, 1);
    u64 n = 1;

    while (best < ns * 0.6) {
        double factor = best > 0 ? ns / best : 8;

        n = (u64)((double)n * (factor < 2 ? 2 : factor > 8 ? 8 : factor));
        best = subtest_best(t, n);
    }
    return best / (double)n;
}

static void subtest_report(const char *group, const struct subtest *t, double budget_ns)
{
    double ns;
    u64 sum;

    if (t->able && !t->able()) {
        printf("bench %s/%s - - 0\n", group, t->name);
        return;
    }
    if (t->setup)
        t->setup();
    sum = t->run(t->check);
    ns = subtest_measure(t, budget_ns / (RUNS + 1));
    printf("bench %s/%s %.4f %016llx %.0f\n", group, t->name, ns, (unsigned long long)sum,
           t->bytes);
}

static double setting(const char *name, double otherwise)
{
    const char *text = getenv(name);

    return text ? strtod(text, NULL) : otherwise;
}

/*
 * One CPU, or all. Between CPUs the host's scheduler is measured, whose whims on a busy host are larger than what the
 * engines differ by.
 */
static void stay_on_cpus(bool one)
{
    static cpu_set_t all;
    cpu_set_t set;

    if (!CPU_COUNT(&all))
        sched_getaffinity(0, sizeof(all), &all);
    set = all;
    if (one) {
        CPU_ZERO(&set);
        CPU_SET(sched_getcpu(), &set);
    }
    sched_setaffinity(0, sizeof(set), &set);
}

static void bench_run_all(void)
{
    double budget_ns = setting("BENCH_MS", 30) * 1e6;
    const char *only = getenv("BENCH_ONLY");
    char name[64];

    for (size_t g = 0; g < sizeof(groups) / sizeof(groups[0]); g++) {
        stay_on_cpus(groups[g].tests != smp_tests);
        for (const struct subtest *t = groups[g].tests; t->name; t++) {
            snprintf(name, sizeof(name), "%s/%s", groups[g].name, t->name);
            if (!only || strstr(name, only))
                subtest_report(groups[g].name, t, budget_ns);
        }
    }
}

int main(int argc, char **argv)
{
    u64 tsc, ns;

    if (argc > 1 && !strcmp(argv[1], EXEC_NOTHING))
        return 3;
    setvbuf(stdout, NULL, _IOLBF, 0);
    self = argv[0];
    arena = mmap(NULL, ARENA_SIZE, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (arena == MAP_FAILED)
        bench_die("mmap");
    madvise(arena, ARENA_SIZE, MADV_DONTFORK);
    ticks_per_ns = setting("BENCH_TSC_KHZ", 0) / 1e6;
    if (ticks_per_ns <= 0)
        ticks_per_ns = clock_measure();
    printf("bench-begin %.0f\n", ticks_per_ns * 1e6);
    tsc = __rdtsc();
    ns = clock_now();
    bench_run_all();
    /* How far the guest's own clock is from the TSC. */
    ns = clock_now() - ns;
    printf("bench-end %.4f\n", (double)(__rdtsc() - tsc) / ticks_per_ns / (double)(ns ? ns : 1));
    bench_end(0);
}
