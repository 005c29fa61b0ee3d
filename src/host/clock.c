/* SPDX-License-Identifier: MIT */
/*
 * Guest time from the host's time stamp counter.
 *
 * The counter is used only where it ticks at one rate in all power states and on all CPUs: the
 * invariant TSC bit (SDM vol. 3B, 18.17.1) says the first, the kernel's list of usable clock
 * sources the second. Its rate comes from CPUID where CPUID tells it. On any other host
 * CLOCK_MONOTONIC stands in, as a counter of 1 GHz. Both never go backwards between threads: the
 * counter is read behind a fence, so that two reads that are ordered by the program are ordered in
 * time.
 */
#include "host/clock.h"

#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/bits.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <x86intrin.h>
#endif

#define CLOCK_NS_PER_S UINT64_C(1000000000)
static u64 clock_host_ns(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (u64)ts.tv_sec * CLOCK_NS_PER_S + (u64)ts.tv_nsec;
}

#if defined(__x86_64__)

/*
 * How long the rate is measured, and how often both clocks are read at each end. Where the kernel's clock is read
 * without a system call the error is about one part in a million after this time. Where it takes longer than
 * CLOCK_SLOW_NS the measurement takes longer as well.
 */
#define CLOCK_CALIBRATE_NS            250000u
#define CLOCK_CALIBRATE_SLOW_NS       2000000u
#define CLOCK_SLOW_NS                 500u
#define CLOCK_SAMPLES                 64u
/* Ticks that a reading may take longer than the fastest one, and count. */
#define CLOCK_SAMPLE_SLACK            16u

/* CPUID leaves (SDM vol. 2A, CPUID; the hypervisor range by the convention of all hypervisors). */
#define CPUID_FEATURES                0x1u
#define CPUID_FEATURES_ECX_HYPERVISOR BIT(31)
#define CPUID_TSC                     0x15u
#define CPUID_HYPERVISOR              0x40000000u
#define CPUID_HYPERVISOR_TIMING       0x40000010u
#define CPUID_EXTENDED                0x80000000u
#define CPUID_POWER                   0x80000007u
#define CPUID_POWER_EDX_INVARIANT_TSC BIT(8)

/* The clock sources that the kernel finds usable, by name. */
static const char clock_sources[] =
    "/sys/devices/system/clocksource/clocksource0/available_clocksource";

struct cpuid_leaf {
    u32 eax, ebx, ecx, edx;
};

static struct cpuid_leaf clock_cpuid(u32 leaf)
{
    struct cpuid_leaf r;

    __cpuid_count(leaf, 0, r.eax, r.ebx, r.ecx, r.edx);
    return r;
}

static u64 clock_host_tsc(void)
{
    _mm_lfence();
    return __rdtsc();
}

/*
 * The kernel drops "tsc" from this list when it found the CPUs' counters apart. No list: no
 * objection.
 */
static bool clock_kernel_trusts_tsc(void)
{
    char text[256];
    int fd = open(clock_sources, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return true;
    n = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (n <= 0)
        return true;
    text[n] = 0;
    for (char *save, *word = strtok_r(text, " \n", &save); word;
         word = strtok_r(NULL, " \n", &save))
        if (!strcmp(word, "tsc"))
            return true;
    return false;
}

static bool clock_tsc_is_usable(void)
{
    return clock_cpuid(CPUID_EXTENDED).eax >= CPUID_POWER &&
           (clock_cpuid(CPUID_POWER).edx & CPUID_POWER_EDX_INVARIANT_TSC) &&
           clock_kernel_trusts_tsc();
}

/* The rate that CPUID tells, or 0. */
static u64 clock_cpuid_hz(void)
{
    struct cpuid_leaf leaf;

    if (clock_cpuid(0).eax >= CPUID_TSC) {
        leaf = clock_cpuid(CPUID_TSC);
        if (leaf.eax && leaf.ebx && leaf.ecx)
            return (u64)leaf.ecx * leaf.ebx / leaf.eax;
    }
    if (!(clock_cpuid(CPUID_FEATURES).ecx & CPUID_FEATURES_ECX_HYPERVISOR))
        return 0;
    leaf = clock_cpuid(CPUID_HYPERVISOR);
    if (leaf.eax < CPUID_HYPERVISOR_TIMING || leaf.eax >= CPUID_EXTENDED)
        return 0;
    return (u64)clock_cpuid(CPUID_HYPERVISOR_TIMING).eax * 1000;
}

/* Both clocks at one moment, since an origin. */
struct clock_sample {
    double tsc, ns;
};

/*
 * The mean of those readings of both clocks that nothing came between. The kernel's clock is a linear function of the
 * counter, so the mean lies on its line, and the nanosecond that a single reading is cut to averages out.
 */
static struct clock_sample clock_sample_take(u64 tsc_origin, u64 ns_origin)
{
    u64 best = UINT64_MAX / 2, tsc_sum = 0, ns_sum = 0, count = 0;

    for (unsigned i = 0; i < CLOCK_SAMPLES; i++) {
        u64 before = clock_host_tsc();
        u64 ns = clock_host_ns(CLOCK_MONOTONIC_RAW);
        u64 width = clock_host_tsc() - before;

        if (width > best + CLOCK_SAMPLE_SLACK)
            continue;
        if (width + CLOCK_SAMPLE_SLACK < best) {
            best = width;
            tsc_sum = ns_sum = count = 0;
        }
        tsc_sum += before + width / 2 - tsc_origin;
        ns_sum += ns - ns_origin;
        count++;
    }
    return (struct clock_sample){ (double)tsc_sum / (double)count, (double)ns_sum / (double)count };
}

static u64 clock_calibrate_hz(void)
{
    u64 tsc = clock_host_tsc(), start = clock_host_ns(CLOCK_MONOTONIC_RAW), ns = CLOCK_CALIBRATE_NS;
    struct clock_sample a = clock_sample_take(tsc, start), b;

    if (clock_host_ns(CLOCK_MONOTONIC_RAW) - start > (u64)CLOCK_SLOW_NS * CLOCK_SAMPLES)
        ns = CLOCK_CALIBRATE_SLOW_NS;
    while (clock_host_ns(CLOCK_MONOTONIC_RAW) - start < ns)
        continue;
    b = clock_sample_take(tsc, start);
    return (u64)((b.tsc - a.tsc) / (b.ns - a.ns) * (double)CLOCK_NS_PER_S + 0.5);
}

/* The rate of the host's counter; 0: there is none that can be used. */
static u64 clock_tsc_rate(void)
{
    u64 hz;

    if (!clock_tsc_is_usable())
        return 0;
    hz = clock_cpuid_hz();
    return hz ? hz : clock_calibrate_hz();
}

#else

static u64 clock_host_tsc(void)
{
    return 0;
}

static u64 clock_tsc_rate(void)
{
    return 0;
}

#endif

static u64 clock_read_host(const struct clock *clock)
{
    u64 tsc = clock_host_tsc();

    return tsc > clock->tsc_base ? tsc - clock->tsc_base : 0;
}

static u64 clock_read_monotonic(const struct clock *clock)
{
    return clock_host_ns(CLOCK_MONOTONIC) - clock->tsc_base;
}

static u64 clock_read_manual(const struct clock *clock)
{
    return __atomic_load_n(&clock->manual_tsc, __ATOMIC_ACQUIRE);
}

/* The widest factor that 32 bits hold: ns = tsc * 1e9 / hz to better than one part in 2^31. */
static void clock_set_rate(struct clock *clock, u64 hz)
{
    unsigned shift = 63;
    unsigned __int128 mul;

    do {
        mul = ((unsigned __int128)CLOCK_NS_PER_S << shift) / hz;
    } while (mul > UINT32_MAX && shift--);
    clock->tsc_hz = hz;
    clock->ns_mul = (u32)mul;
    clock->ns_shift = shift;
}

void clock_init(struct clock *clock)
{
    u64 hz = clock_tsc_rate();

    memset(clock, 0, sizeof(*clock));
    clock_set_rate(clock, hz ? hz : CLOCK_NS_PER_S);
    clock->read_tsc = hz ? clock_read_host : clock_read_monotonic;
    clock->tsc_base = hz ? clock_host_tsc() : clock_host_ns(CLOCK_MONOTONIC);
    clock->wall_base = (i64)clock_host_ns(CLOCK_REALTIME);
}

void clock_init_manual(struct clock *clock, i64 wall_ns)
{
    memset(clock, 0, sizeof(*clock));
    clock_set_rate(clock, CLOCK_NS_PER_S);
    clock->read_tsc = clock_read_manual;
    clock->wall_base = wall_ns;
}

void clock_step(struct clock *clock, u64 ns)
{
    __atomic_fetch_add(&clock->manual_tsc, ns, __ATOMIC_RELEASE);
}

u64 clock_tsc_to_ns(const struct clock *clock, u64 tsc)
{
    unsigned __int128 ns = ((unsigned __int128)tsc * clock->ns_mul) >> clock->ns_shift;

    return ns > UINT64_MAX ? UINT64_MAX : (u64)ns;
}

/* The first tick at which clock_tsc_to_ns tells at least `ns`. */
u64 clock_ns_to_tsc(const struct clock *clock, u64 ns)
{
    unsigned __int128 scaled = (unsigned __int128)ns << clock->ns_shift;
    unsigned __int128 tsc = (scaled + clock->ns_mul - 1) / clock->ns_mul;

    return tsc > UINT64_MAX ? UINT64_MAX : (u64)tsc;
}
