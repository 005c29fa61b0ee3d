/* SPDX-License-Identifier: MIT */
/*
 * Is the KVM of this host any good? A tiny 64-bit guest is run and timed.
 *
 * It counts down from 1 and from 400 in turn and writes to a port after each. What the long round takes longer than
 * the short one is the guest's own time, without that of the exits: a nanosecond an instruction or less where the CPU
 * runs the guest, hundreds where the kernel emulates it, which some do that have no hardware virtualization themselves.
 */
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "accel/kvm/kvm.h"
#include "base/bits.h"
#include "base/bytes.h"
#include "cli/config.h"

/* --- Opening --- */

#define PROBE_CPUID_VMX   BIT(5) /* leaf 1 ECX */
#define PROBE_CPUID_SVM   BIT(2) /* leaf 80000001H ECX */
#define PROBE_API_VERSION 12     /* the one there has been since Linux 2.6.22 */

/* Which module would make the device appear. */
static bool probe_missing(const char *path, struct error *err)
{
    u32 a, b, c = 0, d, c81 = 0;

    __get_cpuid(1, &a, &b, &c, &d);
    __get_cpuid(0x80000001, &a, &b, &c81, &d);
    if (c & PROBE_CPUID_VMX || c81 & PROBE_CPUID_SVM)
        return error_set(err, "there is no %.100s; load the kernel module: modprobe %s", path,
                         c & PROBE_CPUID_VMX ? "kvm_intel" : "kvm_amd");
    return error_set(
        err,
        "there is no %.100s, and the CPU shows neither VMX nor SVM: switched off in the firmware, or "
        "a virtual machine without nesting",
        path);
}

/* getpwuid has one buffer for all. */
static void probe_user_name(uid_t uid, char *name, size_t size)
{
    const struct passwd *user = getpwuid(uid);

    if (user)
        snprintf(name, size, "%s", user->pw_name);
    else
        snprintf(name, size, "%u", uid);
}

/* Who may open it: a group, or nobody but its owner. */
static bool probe_forbidden(const char *path, struct error *err)
{
    const mode_t shared = S_IRGRP | S_IWGRP;
    const struct group *group;
    char user[33], owner[33];
    struct stat st;

    if (stat(path, &st) < 0)
        return error_set(err, "no permission to open %.100s", path);
    probe_user_name(geteuid(), user, sizeof(user));
    probe_user_name(st.st_uid, owner, sizeof(owner));
    group = getgrgid(st.st_gid);
    if ((st.st_mode & shared) != shared || !group || !group->gr_gid)
        return error_set(err,
                         "no permission to open %.100s: it is for the user '%s' alone, and this is "
                         "'%s'",
                         path, owner, user);
    return error_set(err,
                     "no permission to open %.100s: it is for the group '%s', which '%s' is not in "
                     "(usermod -aG %s %s, then log in again)",
                     path, group->gr_name, user, group->gr_name, user);
}

int kvm_open(const char *path, struct error *err)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);

    if (fd >= 0 && ioctl(fd, KVM_GET_API_VERSION, 0) == PROBE_API_VERSION)
        return fd;
    if (fd >= 0) {
        close(fd);
        error_set(err, "%.100s is not a KVM of API version %d", path, PROBE_API_VERSION);
    } else if (errno == ENOENT || errno == ENODEV || errno == ENXIO) {
        probe_missing(path, err);
    } else if (errno == EACCES || errno == EPERM) {
        probe_forbidden(path, err);
    } else {
        error_set_errno(err, errno, "cannot open %.100s", path);
    }
    return -1;
}

/* --- The guest --- */

#define PROBE_MEMORY   0x5000u
#define PROBE_PML4     0x1000u
#define PROBE_PDPT     0x2000u
#define PROBE_PD       0x3000u
#define PROBE_CODE     0x4000u
#define PROBE_COUNT    400u
#define PROBE_ROUNDS   3u
#define PROBE_INSNS    (2 * PROBE_COUNT) /* of a long round, more than of a short one */

/* Slower than this, an instruction of the loop was not run by a CPU. */
#define PROBE_SLOW_NS  25u

#define PTE_PRESENT_RW 0x3u
#define PTE_LARGE      0x80u
#define CR0_PE_ET_PG   0x80000011u
#define CR4_PAE        0x20u
#define EFER_LME_LMA   0x500u

static const u8 probe_code[] = {
    0xE6,
    0x80, /* again: out 0x80, al */
    0xB9,
    1,
    0,
    0,
    0, /* mov ecx, 1 */
    0xFF,
    0xC9,
    0x75,
    0xFC, /* dec ecx; jnz .-2 */
    0xE6,
    0x80, /* out 0x80, al */
    0xB9,
    PROBE_COUNT & 0xFF,
    PROBE_COUNT >> 8,
    0,
    0, /* mov ecx, 400 */
    0xFF,
    0xC9,
    0x75,
    0xFC, /* dec ecx; jnz .-2 */
    0xEB,
    0xE8, /* jmp again */
};

struct probe {
    int device, vm, cpu;
    u8 *memory;
    struct kvm_run *run;
    size_t run_size;
};

static void probe_close(struct probe *p)
{
    if (p->run != MAP_FAILED)
        munmap(p->run, p->run_size);
    if (p->cpu >= 0)
        close(p->cpu);
    if (p->vm >= 0)
        close(p->vm);
    if (p->memory != MAP_FAILED)
        munmap(p->memory, PROBE_MEMORY);
}

static bool probe_create(struct probe *p, struct error *err)
{
    struct kvm_userspace_memory_region slot = { .memory_size = PROBE_MEMORY };

    p->memory =
        mmap(NULL, PROBE_MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    p->vm = ioctl(p->device, KVM_CREATE_VM, 0);
    if (p->memory == MAP_FAILED || p->vm < 0)
        return error_set_errno(err, errno, "KVM refuses a virtual machine");
    slot.userspace_addr = (uintptr_t)p->memory;
    p->cpu = ioctl(p->vm, KVM_CREATE_VCPU, 0);
    p->run_size = (size_t)ioctl(p->device, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (p->cpu < 0 || ioctl(p->vm, KVM_SET_USER_MEMORY_REGION, &slot) < 0)
        return error_set_errno(err, errno, "KVM refuses a virtual CPU");
    p->run = mmap(NULL, p->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, p->cpu, 0);
    return p->run != MAP_FAILED || error_set_errno(err, errno, "KVM refuses a virtual CPU");
}

static bool probe_load(struct probe *p, struct error *err)
{
    struct kvm_regs regs = { .rip = PROBE_CODE, .rflags = 2 };
    struct kvm_segment code = {
        .limit = 0xFFFFFFFF, .selector = 8, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1
    };
    struct kvm_segment data = {
        .limit = 0xFFFFFFFF, .selector = 16, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1
    };
    struct kvm_sregs sregs;

    store_le64(p->memory + PROBE_PML4, PROBE_PDPT | PTE_PRESENT_RW);
    store_le64(p->memory + PROBE_PDPT, PROBE_PD | PTE_PRESENT_RW);
    store_le64(p->memory + PROBE_PD, PTE_LARGE | PTE_PRESENT_RW);
    memcpy(p->memory + PROBE_CODE, probe_code, sizeof(probe_code));
    if (ioctl(p->cpu, KVM_GET_SREGS, &sregs) < 0)
        return error_set_errno(err, errno, "KVM does not tell a CPU's registers");
    sregs.cs = code;
    sregs.ds = sregs.es = sregs.ss = sregs.fs = sregs.gs = data;
    sregs.cr0 = CR0_PE_ET_PG;
    sregs.cr3 = PROBE_PML4;
    sregs.cr4 = CR4_PAE;
    sregs.efer = EFER_LME_LMA;
    return (ioctl(p->cpu, KVM_SET_SREGS, &sregs) == 0 && ioctl(p->cpu, KVM_SET_REGS, &regs) == 0) ||
           error_set_errno(err, errno, "KVM refuses a CPU in 64-bit mode");
}

/* Run to the next port write; the time in ns, or 0 when the guest did something else. */
static u64 probe_round(struct probe *p)
{
    struct timespec start, end;
    int result;

    clock_gettime(CLOCK_MONOTONIC, &start);
    do
        result = ioctl(p->cpu, KVM_RUN, 0);
    while (result < 0 && (errno == EINTR || errno == EAGAIN));
    clock_gettime(CLOCK_MONOTONIC, &end);
    if (result < 0 || p->run->exit_reason != KVM_EXIT_IO)
        return 0;
    return (u64)((end.tv_sec - start.tv_sec) * 1000000000 + end.tv_nsec - start.tv_nsec);
}

/* The least of some rounds, so that what else the host does does not count. */
static bool probe_measure(struct probe *p, bool emulated_ok, struct error *err)
{
    u64 least_short = UINT64_MAX, least_long = UINT64_MAX;

    if (!probe_round(p))
        return error_set(err, "KVM cannot run a 64-bit guest (exit %u)", p->run->exit_reason);
    for (unsigned i = 0; i < PROBE_ROUNDS; i++) {
        u64 short_ns = probe_round(p), long_ns = probe_round(p);

        if (!short_ns || !long_ns)
            return error_set(err, "KVM cannot run a 64-bit guest (exit %u)", p->run->exit_reason);
        least_short = MIN(least_short, short_ns);
        least_long = MIN(least_long, long_ns);
        if (emulated_ok || least_long < least_short + PROBE_SLOW_NS * PROBE_INSNS)
            return true;
    }
    return error_set(
        err,
        "KVM only emulates here, at about %u million instructions a second: there is no hardware "
        "virtualization under it",
        (unsigned)MAX(PROBE_INSNS * 1000 / (least_long - least_short), 1u));
}

bool kvm_probe(const struct config *config, struct error *err)
{
    const char *path = config && config->kvm.device ? config->kvm.device : KVM_DEVICE;
    struct probe p = { .vm = -1, .cpu = -1, .memory = MAP_FAILED, .run = MAP_FAILED };
    bool ok;

    p.device = kvm_open(path, err);
    if (p.device < 0)
        return false;
    ok = probe_create(&p, err) && probe_load(&p, err) &&
         probe_measure(&p, config && config->kvm.emulated, err);
    probe_close(&p);
    close(p.device);
    return ok;
}
