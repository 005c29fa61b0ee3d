/* SPDX-License-Identifier: MIT */
/* Two threads on two CPUs. */
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench.h"

struct share {
    u64 (*work)(u64 n, u64 seed);
    u64 n, seed, sum;
};

static _Atomic u32 turn;
static _Atomic u64 counter;

static bool able_smp(void)
{
    cpu_set_t all;

    return sched_getaffinity(0, sizeof(all), &all) == 0 && CPU_COUNT(&all) >= 2;
}

static void *share_run(void *arg)
{
    struct share *s = arg;

    s->sum = s->work(s->n, s->seed);
    return NULL;
}

/* `n` operations by each of two threads. */
static u64 two_threads(u64 (*work)(u64 n, u64 seed), u64 n)
{
    struct share other = { .work = work, .n = n, .seed = 1 };
    struct share mine = { .work = work, .n = n, .seed = 0 };
    pthread_t thread;

    if (pthread_create(&thread, NULL, share_run, &other))
        bench_die("thread");
    share_run(&mine);
    pthread_join(thread, NULL);
    return mix(mine.sum, other.sum);
}

static u64 add_work(u64 n, u64 seed)
{
    while (n--)
        atomic_fetch_add(&counter, seed + 1);
    return 0;
}

static u64 run_contend(u64 n)
{
    atomic_store(&counter, 0);
    two_threads(add_work, n);
    return atomic_load(&counter);
}

static u64 turn_work(u64 n, u64 seed)
{
    u32 mine = (u32)seed;

    while (n--) {
        u32 now;

        while ((now = atomic_load(&turn)) != mine)
            syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, now, NULL, NULL, 0);
        atomic_store(&turn, !mine);
        syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    }
    return mine;
}

static u64 run_futex(u64 n)
{
    atomic_store(&turn, 0);
    return two_threads(turn_work, n);
}

static u64 parallel_work(u64 n, u64 seed)
{
    u64 state = seed + 5, sum = 0;

    while (n--)
        sum += random_next(&state) >> 7;
    return sum;
}

static u64 run_parallel(u64 n)
{
    return two_threads(parallel_work, n);
}

const struct subtest smp_tests[] = {
    { "contended-add", run_contend, 1000, NULL, able_smp, 0 },
    { "futex-ping-pong", run_futex, 10, NULL, able_smp, 0 },
    { "parallel", run_parallel, 1000, NULL, able_smp, 0 },
    { NULL, NULL, 0, NULL, NULL, 0 },
};
