/* SPDX-License-Identifier: MIT */
/* A CPU on KVM: its start state beside the software CPU's, reset, dump, CPUID. Skipped where there is no KVM. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "accel/soft/state.h"
#include "base/bits.h"
#include "base/mem.h"
#include "machine/boot_state.h"
#include "unit/kvm/fixture.h"

#define ENTRIES 256u

static struct kvm_env *env_or_skip(const char *irqchip, unsigned cpus)
{
    struct kvm_env *env = kvm_env_new(irqchip, cpus);
    struct error err = { "" };

    if (!env)
        skip();
    if (!machine_init_vcpus(&env->machine, &err))
        fail_msg("%s", err.text);
    return env;
}

/* --- Boot state --- */

static struct machine *soft_machine(const struct config *config)
{
    struct machine *machine = xcalloc(1, sizeof(*machine));
    struct error err;

    machine->accel = &accel_soft;
    assert_true(machine_init(machine, config, &err));
    assert_true(machine_init_vcpus(machine, &err));
    return machine;
}

static void assert_same_segment(const struct kvm_segment *k, const struct segment *s)
{
    unsigned attr = k->type | (unsigned)k->s << 4 | (unsigned)k->dpl << 5 |
                    (unsigned)k->present << 7 | (unsigned)k->avl << 12 | (unsigned)k->l << 13 |
                    (unsigned)k->db << 14 | (unsigned)k->g << 15;

    assert_int_equal(k->selector, s->selector);
    assert_int_equal(k->base, s->base);
    assert_int_equal(k->limit, s->limit);
    assert_int_equal(attr & 0xF0FF, s->attr & 0xF0FF);
}

static void assert_same_state(struct kvm_cpu *k, const struct cpu *s)
{
    struct kvm_regs regs;
    struct kvm_sregs sregs;

    assert_int_equal(ioctl(k->fd, KVM_GET_REGS, &regs), 0);
    assert_int_equal(ioctl(k->fd, KVM_GET_SREGS, &sregs), 0);
    assert_int_equal(regs.rip, s->rip);
    assert_int_equal(regs.rflags, cpu_rflags(s));
    assert_int_equal(regs.rbx, s->gpr[RBX]);
    assert_int_equal(regs.rsi, s->gpr[RSI]);
    assert_int_equal(regs.rsp, s->gpr[RSP]);
    assert_int_equal(regs.rax, s->gpr[RAX]);
    assert_same_segment(&sregs.cs, &s->seg[SEG_CS]);
    assert_same_segment(&sregs.ds, &s->seg[SEG_DS]);
    assert_same_segment(&sregs.es, &s->seg[SEG_ES]);
    assert_same_segment(&sregs.ss, &s->seg[SEG_SS]);
    assert_same_segment(&sregs.fs, &s->seg[SEG_FS]);
    assert_same_segment(&sregs.gs, &s->seg[SEG_GS]);
    assert_same_segment(&sregs.tr, &s->tr);
    assert_int_equal(sregs.gdt.base, s->gdtr.base);
    assert_int_equal(sregs.gdt.limit, s->gdtr.limit);
    assert_int_equal(sregs.cr0, s->cr0);
    assert_int_equal(sregs.cr3, s->cr3);
    assert_int_equal(sregs.cr4, s->cr4);
    assert_int_equal(sregs.efer, s->msr.efer);
}

static void assert_boots_alike(const struct cpu_boot_state *state)
{
    struct kvm_env *env = env_or_skip("split", 1);
    struct machine *soft = soft_machine(&env->config);

    accel_soft.vcpu_reset(&soft->vcpus[0]);
    accel_kvm.vcpu_reset(&env->machine.vcpus[0]);
    accel_soft.vcpu_set_boot(&soft->vcpus[0], state);
    accel_kvm.vcpu_set_boot(&env->machine.vcpus[0], state);
    assert_same_state(kvm_env_cpu(env, 0), soft->vcpus[0].accel);
    machine_fini_guest(soft);
    machine_fini_host(soft);
    free(soft);
    kvm_env_free(env);
}

static void a_64_bit_boot_starts_as_on_soft(void **state)
{
    const struct cpu_boot_state boot = { .mode = BOOT_MODE_LONG64,
                                         .rip = 0x1000200,
                                         .rsp = 0x8FF0,
                                         .rsi = 0x7000,
                                         .cr3 = 0x9000,
                                         .gdt = 0x500,
                                         .gdt_limit = 0x27 };

    (void)state;
    assert_boots_alike(&boot);
}

static void a_pvh_boot_starts_as_on_soft(void **state)
{
    const struct cpu_boot_state boot = {
        .mode = BOOT_MODE_FLAT32, .rip = 0x1000000, .rbx = 0x7000, .gdt = 0x500, .gdt_limit = 0x27
    };

    (void)state;
    assert_boots_alike(&boot);
}

/* --- Reset --- */

static void reset_puts_back(const char *irqchip)
{
    struct kvm_env *env = env_or_skip(irqchip, 2);
    struct kvm_cpu *cpu = kvm_env_cpu(env, 0);
    struct kvm_regs before, changed, after;
    struct kvm_sregs sregs;

    assert_int_equal(ioctl(cpu->fd, KVM_GET_REGS, &before), 0);
    changed = before;
    changed.rax = 0x123456789;
    changed.rip = 0x1000;
    assert_int_equal(ioctl(cpu->fd, KVM_SET_REGS, &changed), 0);
    cpu->runs = 1;
    accel_kvm.vcpu_reset(cpu->vcpu);
    assert_int_equal(ioctl(cpu->fd, KVM_GET_REGS, &after), 0);
    assert_int_equal(ioctl(cpu->fd, KVM_GET_SREGS, &sregs), 0);
    assert_memory_equal(&before, &after, sizeof(before));
    assert_int_equal(after.rip, 0xFFF0);
    assert_int_equal(sregs.cs.base, 0xFFFF0000);
    kvm_env_free(env);
}

static void a_reset_is_power_on_again(void **state)
{
    (void)state;
    reset_puts_back("split");
    reset_puts_back("on");
    reset_puts_back("off");
}

static void init_and_sipi_start_a_cpu_in_real_mode(void **state)
{
    struct kvm_env *env = env_or_skip("off", 2);
    struct kvm_cpu *cpu = kvm_env_cpu(env, 1);
    struct kvm_regs regs;
    struct kvm_sregs sregs;

    (void)state;
    kvm_regs_init(cpu);
    kvm_regs_startup(cpu, 0x9A);
    assert_int_equal(ioctl(cpu->fd, KVM_GET_REGS, &regs), 0);
    assert_int_equal(ioctl(cpu->fd, KVM_GET_SREGS, &sregs), 0);
    assert_int_equal(regs.rip, 0);
    assert_int_equal(sregs.cs.selector, 0x9A00);
    assert_int_equal(sregs.cs.base, 0x9A000);
    assert_int_equal(sregs.cr0 & 0x80000001, 0);
    kvm_env_free(env);
}

/* --- Dump --- */

static void a_dump_marks_the_instruction(void **state)
{
    const struct cpu_boot_state boot = { .mode = BOOT_MODE_FLAT32, .rip = 0x10000, .gdt = 0x500 };
    const u8 code[] = { 0x0F, 0x0B };
    struct kvm_env *env = env_or_skip("split", 1);
    char text[4096];

    (void)state;
    assert_int_equal(ram_write(&env->machine.ram, 0x10000, code, sizeof(code)), 0);
    accel_kvm.vcpu_set_boot(&env->machine.vcpus[0], &boot);
    accel_kvm.dump(&env->machine.vcpus[0], text, sizeof(text));
    assert_non_null(strstr(text, "RIP=0000000000010000"));
    assert_non_null(strstr(text, " <0f> 0b"));
    kvm_env_free(env);
}

/* --- CPUID --- */

static struct kvm_cpuid2 *read_cpuid(struct kvm_cpu *cpu)
{
    struct kvm_cpuid2 *table = xcalloc(1, sizeof(*table) + ENTRIES * sizeof(table->entries[0]));

    table->nent = ENTRIES;
    assert_int_equal(ioctl(cpu->fd, KVM_GET_CPUID2, table), 0);
    return table;
}

static struct kvm_cpuid_entry2 leaf_of(struct kvm_cpu *cpu, u32 leaf)
{
    struct kvm_cpuid2 *table = read_cpuid(cpu);
    struct kvm_cpuid_entry2 found = { .function = 0xFFFFFFFF };

    for (u32 i = 0; i < table->nent; i++)
        if (table->entries[i].function == leaf && table->entries[i].index == 0)
            found = table->entries[i];
    free(table);
    return found;
}

static void each_cpu_has_its_apic_id(void **state)
{
    struct kvm_env *env = env_or_skip("split", 2);

    (void)state;
    for (unsigned n = 0; n < 2; n++) {
        assert_int_equal(leaf_of(kvm_env_cpu(env, n), 1).ebx >> 24, n);
        assert_int_equal(leaf_of(kvm_env_cpu(env, n), 0xB).edx, n);
    }
    assert_true(leaf_of(kvm_env_cpu(env, 0), 1).edx & BIT(28)); /* HTT */
    kvm_env_free(env);
}

static struct kvm_env *env_with_cpu(const char *irqchip, const char *model, const char *flag)
{
    struct kvm_env *env = kvm_env_new(irqchip, 1);
    struct error err = { "" };

    if (!env)
        skip();
    env->config.cpu.model = xstrdup(model);
    if (flag)
        env->config.cpu.flags[env->config.cpu.flag_count++] =
            (struct cpu_flag){ .name = xstrdup(flag), .on = false };
    if (!machine_init_vcpus(&env->machine, &err))
        fail_msg("%s", err.text);
    return env;
}

static void a_flag_takes_a_feature_away(void **state)
{
    struct kvm_env *with = env_with_cpu("split", "host", NULL);
    struct kvm_env *without = env_with_cpu("split", "host", "cx16");
    u32 a = leaf_of(kvm_env_cpu(with, 0), 1).ecx, b = leaf_of(kvm_env_cpu(without, 0), 1).ecx;

    (void)state;
    assert_false(b & BIT(13));
    assert_int_equal(a & ~BIT(13), b);
    kvm_env_free(with);
    kvm_env_free(without);
}

static void kvm_off_hides_kvm(void **state)
{
    struct kvm_env *env = env_with_cpu("split", "max", "kvm");

    (void)state;
    assert_int_equal(leaf_of(kvm_env_cpu(env, 0), 0x40000000).function, 0xFFFFFFFF);
    kvm_env_free(env);
}

static void steal_time_can_be_taken_away(void **state)
{
    struct kvm_env *env = env_with_cpu("split", "max", "kvm-steal-time");

    (void)state;
    assert_false(leaf_of(kvm_env_cpu(env, 0), 0x40000001).eax & BIT(5));
    kvm_env_free(env);
}

static void a_model_has_its_own_identity(void **state)
{
    struct kvm_env *env = env_with_cpu("split", "qemu64", NULL);
    struct kvm_cpuid_entry2 zero = leaf_of(kvm_env_cpu(env, 0), 0);

    (void)state;
    assert_memory_equal(&zero.ebx, "Auth", 4);
    assert_int_equal(leaf_of(kvm_env_cpu(env, 0), 1).eax, 0x60FB1);
    kvm_env_free(env);
}

static void without_an_apic_inside_there_is_no_x2apic(void **state)
{
    struct kvm_env *inside = env_with_cpu("split", "max", NULL);
    struct kvm_env *outside = env_with_cpu("off", "max", NULL);

    (void)state;
    assert_false(leaf_of(kvm_env_cpu(outside, 0), 1).ecx & (BIT(21) | BIT(24)));
    assert_true(leaf_of(kvm_env_cpu(inside, 0), 1).ecx & BIT(21));
    kvm_env_free(inside);
    kvm_env_free(outside);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_64_bit_boot_starts_as_on_soft),
        cmocka_unit_test(a_pvh_boot_starts_as_on_soft),
        cmocka_unit_test(a_reset_is_power_on_again),
        cmocka_unit_test(init_and_sipi_start_a_cpu_in_real_mode),
        cmocka_unit_test(a_dump_marks_the_instruction),
        cmocka_unit_test(each_cpu_has_its_apic_id),
        cmocka_unit_test(a_flag_takes_a_feature_away),
        cmocka_unit_test(kvm_off_hides_kvm),
        cmocka_unit_test(steal_time_can_be_taken_away),
        cmocka_unit_test(a_model_has_its_own_identity),
        cmocka_unit_test(without_an_apic_inside_there_is_no_x2apic),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
