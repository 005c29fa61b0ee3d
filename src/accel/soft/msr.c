/* SPDX-License-Identifier: MIT */
/*
 * Model-specific registers: SDM vol. 4, chapter 2 (architectural ones); AMD's of the APM vol. 2, appendix A, which
 * Linux touches on AMD CPUs; KVM's of Linux, Documentation/virt/kvm/x86/msr.rst.
 *
 * One row per register or run of registers. No row: #GP, as on the real CPU, and a line under -d unimp.
 * NOT EMULATED: memory types (MTRRs and PAT are stored and checked, all memory behaves as write-back), machine
 * checks (no banks), branch tracing, microcode updates.
 */
#include "accel/soft/msr.h"

#include "accel/soft/cpuid.h"
#include "accel/soft/kvmclock.h"
#include "accel/soft/tlb.h"
#include "base/log.h"

struct msr_row;
typedef bool msr_read_fn(struct cpu *cpu, const struct msr_row *row, u32 index, u64 *value);
typedef bool msr_write_fn(struct cpu *cpu, const struct msr_row *row, u32 index, u64 value);

struct msr_row {
    u32 first, last;
    msr_read_fn *read;   /* NULL: #GP */
    msr_write_fn *write; /* NULL: #GP */
    u64 arg;             /* value of a constant; offset into struct cpu of a stored one */
    u16 feature;         /* enum cpu_feature that it comes with */
};

/*
 * What speculation leaks this CPU does not have: an interpreter speculates nothing that a guest could steer. Bits
 * of SDM vol. 4, table 2-2, 10AH. IBRS_ALL has Linux take the cheapest mitigation of Spectre v2.
 */
#define ARCH_CAP_RDCL_NO            BIT64(0)
#define ARCH_CAP_IBRS_ALL           BIT64(1)
#define ARCH_CAP_SKIP_L1DFL_VMENTRY BIT64(3)
#define ARCH_CAP_SSB_NO             BIT64(4)
#define ARCH_CAP_MDS_NO             BIT64(5)
#define ARCH_CAP_PSCHANGE_MC_NO     BIT64(6)
#define ARCH_CAP_TAA_NO             BIT64(8)
#define ARCH_CAP_SBDR_SSDP_NO       BIT64(13)
#define ARCH_CAP_FBSDP_NO           BIT64(14)
#define ARCH_CAP_PSDP_NO            BIT64(15)
#define ARCH_CAP_BHI_NO             BIT64(20)
#define ARCH_CAP_PBRSB_NO           BIT64(24)
#define ARCH_CAP_GDS_NO             BIT64(26)
#define ARCH_CAP_RFDS_NO            BIT64(27)
#define ARCH_CAP_ITS_NO             BIT64(62)
#define ARCH_CAPABILITIES \
    (ARCH_CAP_RDCL_NO | ARCH_CAP_IBRS_ALL | ARCH_CAP_SKIP_L1DFL_VMENTRY | ARCH_CAP_SSB_NO | \
     ARCH_CAP_MDS_NO | ARCH_CAP_PSCHANGE_MC_NO | ARCH_CAP_TAA_NO | ARCH_CAP_SBDR_SSDP_NO | \
     ARCH_CAP_FBSDP_NO | ARCH_CAP_PSDP_NO | ARCH_CAP_BHI_NO | ARCH_CAP_PBRSB_NO | \
     ARCH_CAP_GDS_NO | ARCH_CAP_RFDS_NO | ARCH_CAP_ITS_NO)

#define APIC_BASE_BSP             BIT64(8)
#define APIC_BASE_X2APIC          BIT64(10)
#define APIC_BASE_ENABLE          BIT64(11)
#define FEATURE_CONTROL_LOCKED    BIT64(0)
#define MTRRCAP                   (MTRR_VAR_COUNT | BIT64(8) | BIT64(10)) /* fixed ranges, write combining */
#define MTRR_MASK_VALID           BIT64(11)
#define HWCR_TSC_FREQ_SEL         BIT64(24)
#define DE_CFG_LFENCE_SERIALIZING BIT64(1)
#define SPEC_CTRL_VALID \
    (BIT64(0) | BIT64(1) | BIT64(2)) /* IBRS, STIBP, SSBD: the last two are taken as hints */
#define SPEC_CTRL_BHI_DIS_S BIT64(10)
#define DEBUGCTL_VALID      (BIT64(0) | BIT64(1))

/* --- Checks --- */

static bool msr_has(const struct cpu *cpu, enum cpu_feature feature)
{
    return feature_has(cpuid_features(cpu->cpuid), feature);
}

/* Memory types that exist (SDM vol. 3A, table 11-8); PAT knows UC- (7) as well. */
static bool msr_memory_type(unsigned type)
{
    return type <= 6 && type != 2 && type != 3;
}

static bool msr_each_byte(u64 value, bool pat)
{
    for (unsigned i = 0; i < 8; i++, value >>= 8) {
        unsigned type = value & 0xFF;

        if (!msr_memory_type(type) && !(pat && type == 7))
            return false;
    }
    return true;
}

static u64 msr_phys_mask(const struct cpu *cpu)
{
    return BIT64(cpuid_phys_bits(cpu->cpuid)) - 1;
}

/* --- Constants and plain storage --- */

static u64 *msr_field(struct cpu *cpu, const struct msr_row *row)
{
    return (u64 *)(void *)((char *)cpu + row->arg);
}

static bool msr_read_const(struct cpu *cpu, const struct msr_row *row, u32 index, u64 *value)
{
    (void)cpu;
    (void)index;
    *value = row->arg;
    return true;
}

static bool msr_read_field(struct cpu *cpu, const struct msr_row *row, u32 index, u64 *value)
{
    (void)index;
    *value = *msr_field(cpu, row);
    return true;
}

static bool msr_write_ignore(struct cpu *cpu, const struct msr_row *row, u32 index, u64 value)
{
    (void)cpu;
    (void)row;
    (void)index;
    (void)value;
    return true;
}

static bool msr_write_field(struct cpu *cpu, const struct msr_row *row, u32 index, u64 value)
{
    (void)index;
    *msr_field(cpu, row) = value;
    return true;
}

static bool msr_write_field32(struct cpu *cpu, const struct msr_row *row, u32 index, u64 value)
{
    (void)index;
    if (value >> 32)
        return false;
    *msr_field(cpu, row) = value;
    return true;
}

static bool msr_write_canonical(struct cpu *cpu, const struct msr_row *row, u32 index, u64 value)
{
    (void)index;
    if (!cpu_canonical(cpu, value))
        return false;
    *msr_field(cpu, row) = value;
    return true;
}

/* --- Time stamp counter --- */

/* Move the counter by `delta`. The APIC times an armed deadline by the offset it finds when it is written. */
static void msr_move_tsc(struct cpu *cpu, u64 delta)
{
    const struct vcpu_apic_ops *ops = cpu->vcpu->apic_ops;
    void *apic = cpu->vcpu->apic;
    u64 deadline = 0;

    cpu->msr.tsc_offset += delta;
    if (msr_has(cpu, FEAT_TSC_DEADLINE) && ops->msr_read(apic, MSR_TSC_DEADLINE, &deadline) &&
        deadline)
        (void)ops->msr_write(apic, MSR_TSC_DEADLINE, deadline);
    kvmclock_update(cpu);
}

static bool msr_read_tsc(struct cpu *cpu, const struct msr_row *row, u32 index, u64 *value)
{
    (void)row;
    (void)index;
    *value = msr_tsc(cpu);
    return true;
}

/* SDM vol. 3B, 17.17.3: a write moves IA32_TSC_ADJUST by the same amount. */
static bool msr_write_tsc(struct cpu *cpu, const struct msr_row *row, u32 index, u64 value)
{
    u64 delta = value - msr_tsc(cpu);

    (void)row;
    (void)index;
    msr_move_tsc(cpu, delta);
    cpu->msr.tsc_adjust += delta;
    return true;
}

static bool msr_write_tsc_adjust(struct cpu *cpu, const struct msr_row *row, u32 index, u64 value)
{
    (void)row;
    (void)index;
    msr_move_tsc(cpu, value - cpu->msr.tsc_adjust);
    cpu->msr.tsc_adjust = value;
    return true;
}

/* --- Local APIC --- */

static bool msr_read_apic_base(struct cpu *cpu, const struct msr_row *row, u32 index, u64 *value)
{
    (void)row;
    (void)index;
    *value = cpu->vcpu->apic_ops->get_base(cpu->vcpu->apic);
    return true;
}

static bool msr_write_apic_base(struct cpu *cpu, const struct msr_row *row, u32 index, u64 value)
{
    u64 valid = (msr_phys_mask(cpu) & ~UINT64_C(0xFFF)) | APIC_BASE_BSP | APIC_BASE_ENABLE;

    (void)row;
    (void)index;
    if (msr_has(cpu, FEAT_X2APIC))
        valid |= APIC_BASE_X2APIC;
    if (value & ~valid)
        return false;
    return cpu->vcpu->apic_ops->set_base(cpu->vcpu->apic, value);
}

static bool msr_read_apic(struct cpu *cpu, const struct msr_row *row, u32 index, u64 *value)
{
    (void)row;
    return cpu->vcpu->apic_ops->msr_read(cpu->vcpu->apic, index, value);
}

static bool msr_write_apic(struct cpu *cpu, const struct msr_row *row, u32 index, u64 value)
{
    (void)row;
    return cpu->vcpu->apic_ops->msr_write(cpu->vcpu->apic, index, value);
}

/* --- Memory types --- */

static bool msr_write_pat(struct cpu *cpu, const struct msr_row *row, u32 index, u64 value)
{
    (void)row;
    (void)index;
    if (!msr_each_byte(value, true))
        return false;
    cpu->msr.pat = value;
    return true;
}

static unsigned msr_fixed_number(u32 index)
{
    if (index == MSR_MTRR_FIX64K)
        return 0;
    if (index <= MSR_MTRR_FIX16K_A0000)
        return 1 + index - MSR_MTRR_FIX16K_80000;
    return 3 + index - MSR_MTRR_FIX4K_C0000;
}

static bool msr_read_mtrr_fixed(struct cpu *cpu, const struct msr_row *row, u32 index, u64 *value)
{
    (void)row;
    *value = cpu->msr.mtrr_fixed[msr_fixed_number(index)];
    return true;
}

static bool msr_write_mtrr_fixed(struct cpu *cpu, const struct msr_row *row, u32 index, u64 value)
{
    (void)row;
    if (!msr_each_byte(value, false))
        return false;
    cpu->msr.mtrr_fixed[msr_fixed_number(index)] = value;
    return true;
}

static u64 *msr_mtrr_var(struct cpu *cpu, u32 index)
{
    return &cpu->msr.mtrr_var[(index - MSR_MTRR_PHYSBASE0) / 2][index & 1];
}

static bool msr_read_mtrr_var(struct cpu *cpu, const struct msr_row *row, u32 index, u64 *value)
{
    (void)row;
    *value = *msr_mtrr_var(cpu, index);
    return true;
}

/* Even numbers: base and type. Odd numbers: mask and the valid bit. */
static bool msr_write_mtrr_var(struct cpu *cpu, const struct msr_row *row, u32 index, u64 value)
{
    u64 pages = msr_phys_mask(cpu) & ~UINT64_C(0xFFF);

    (void)row;
    if (index & 1) {
        if (value & ~(pages | MTRR_MASK_VALID))
            return false;
    } else if (value & ~(pages | 0xFF) || !msr_memory_type(value & 0xFF)) {
        return false;
    }
    *msr_mtrr_var(cpu, index) = value;
    return true;
}

static bool msr_write_mtrr_def_type(struct cpu *cpu, const struct msr_row *row, u32 index,
                                    u64 value)
{
    (void)row;
    (void)index;
    if (value & ~(MTRR_DEF_TYPE_E | MTRR_DEF_TYPE_FE | 0xFF) || !msr_memory_type(value & 0xFF))
        return false;
    cpu->msr.mtrr_def_type = value;
    return true;
}

/* --- Speculation control, microcode, debugging --- */

static bool msr_write_spec_ctrl(struct cpu *cpu, const struct msr_row *row, u32 index, u64 value)
{
    u64 valid = SPEC_CTRL_VALID | (msr_has(cpu, FEAT_BHI_CTRL) ? SPEC_CTRL_BHI_DIS_S : 0);

    (void)row;
    (void)index;
    if (value & ~valid)
        return false;
    cpu->msr.spec_ctrl = value;
    return true;
}

static bool msr_write_pred_cmd(struct cpu *cpu, const struct msr_row *row, u32 index, u64 value)
{
    (void)cpu;
    (void)row;
    (void)index;
    return (value & ~BIT64(0)) == 0;
}

/* SDM vol. 3A, 9.11.7.1: software writes 0, executes CPUID, reads the revision in the upper half (AMD: lower). */
static bool msr_read_microcode(struct cpu *cpu, const struct msr_row *row, u32 index, u64 *value)
{
    (void)row;
    (void)index;
    *value = cpu->msr.microcode_rev << (cpuid_is_amd(cpu->cpuid) ? 0 : 32);
    return true;
}

static bool msr_write_debugctl(struct cpu *cpu, const struct msr_row *row, u32 index, u64 value)
{
    (void)cpu;
    (void)row;
    (void)index;
    return (value & ~DEBUGCTL_VALID) == 0;
}

/* --- Modes and system calls --- */

/* SDM vol. 3A, 2.2.1: LME may change only while paging is off; LMA is the CPU's own. */
static bool msr_write_efer(struct cpu *cpu, const struct msr_row *row, u32 index, u64 value)
{
    u64 valid = EFER_LMA, old = cpu->msr.efer;

    (void)row;
    (void)index;
    valid |= msr_has(cpu, FEAT_SYSCALL) ? EFER_SCE : 0;
    valid |= msr_has(cpu, FEAT_LM) ? EFER_LME : 0;
    valid |= msr_has(cpu, FEAT_NX) ? EFER_NXE : 0;
    if (value & ~valid)
        return false;
    if ((cpu->cr0 & CR0_PG) && ((value ^ old) & EFER_LME))
        return false;
    cpu->msr.efer = (value & ~EFER_LMA) | (old & EFER_LMA);
    if ((value ^ old) & EFER_NXE)
        tlb_flush(cpu, TLB_FLUSH_ALL, 0);
    cpu_mode_update(cpu);
    return true;
}

static bool msr_write_misc_enable(struct cpu *cpu, const struct msr_row *row, u32 index, u64 value)
{
    (void)row;
    (void)index;
    cpu->msr.misc_enable = value | (MISC_ENABLE_RESET & ~BIT64(0));
    return true;
}

static bool msr_write_mcg_status(struct cpu *cpu, const struct msr_row *row, u32 index, u64 value)
{
    (void)row;
    (void)index;
    if (value & ~UINT64_C(7))
        return false;
    cpu->msr.mcg_status = value;
    return true;
}

/* --- KVM --- */

static bool msr_write_kvm_wall_clock(struct cpu *cpu, const struct msr_row *row, u32 index,
                                     u64 value)
{
    (void)row;
    (void)index;
    kvmclock_set_wall_clock(cpu, value);
    return true;
}

static bool msr_write_kvm_system_time(struct cpu *cpu, const struct msr_row *row, u32 index,
                                      u64 value)
{
    (void)row;
    (void)index;
    kvmclock_set_system_time(cpu, value);
    return true;
}

/* --- The table --- */

#define FIELD(member)       offsetof(struct cpu, member)
#define STORED(member)      msr_read_field, msr_write_field, FIELD(member)
#define STORED32(member)    msr_read_field, msr_write_field32, FIELD(member)
#define CANONICAL(member)   msr_read_field, msr_write_canonical, FIELD(member)
#define CHECKED(member, fn) msr_read_field, fn, FIELD(member)
#define CONSTANT(value)     msr_read_const, NULL, value
#define DUMMY(value)        msr_read_const, msr_write_ignore, value

/* Rows of AMD's registers exist on Intel models too, where nothing looks for them. Ascending. */
static const struct msr_row msr_rows[] = {
    /* clang-format off */
    { MSR_TSC, MSR_TSC,                               msr_read_tsc, msr_write_tsc, 0, FEAT_TSC },
    { MSR_KVM_WALL_CLOCK_OLD, MSR_KVM_WALL_CLOCK_OLD,
        CHECKED(msr.kvm_wall_clock, msr_write_kvm_wall_clock), FEAT_NONE },
    { MSR_KVM_SYSTEM_TIME_OLD, MSR_KVM_SYSTEM_TIME_OLD,
        CHECKED(msr.kvm_system_time, msr_write_kvm_system_time), FEAT_NONE },
    { MSR_PLATFORM_ID, MSR_PLATFORM_ID,               CONSTANT(0), FEAT_NONE },
    { MSR_APIC_BASE, MSR_APIC_BASE,                   msr_read_apic_base, msr_write_apic_base, 0, FEAT_APIC },
    { MSR_EBL_CR_POWERON, MSR_EBL_CR_POWERON,         DUMMY(0), FEAT_NONE },
    { MSR_FEATURE_CONTROL, MSR_FEATURE_CONTROL,       CONSTANT(FEATURE_CONTROL_LOCKED), FEAT_NONE },
    { MSR_TSC_ADJUST, MSR_TSC_ADJUST,                 CHECKED(msr.tsc_adjust, msr_write_tsc_adjust), FEAT_TSC_ADJUST },
    { MSR_SPEC_CTRL, MSR_SPEC_CTRL,                   CHECKED(msr.spec_ctrl, msr_write_spec_ctrl), FEAT_SPEC_CTRL },
    { MSR_PRED_CMD, MSR_PRED_CMD,                     NULL, msr_write_pred_cmd, 0, FEAT_SPEC_CTRL },
    { MSR_BIOS_UPDT_TRIG, MSR_BIOS_UPDT_TRIG,         NULL, msr_write_ignore, 0, FEAT_NONE },
    { MSR_BIOS_SIGN_ID, MSR_BIOS_SIGN_ID,             msr_read_microcode, msr_write_ignore, 0, FEAT_NONE },
    { MSR_PLATFORM_INFO, MSR_PLATFORM_INFO,           CONSTANT(0), FEAT_NONE },
    { MSR_MTRRCAP, MSR_MTRRCAP,                       CONSTANT(MTRRCAP), FEAT_MTRR },
    { MSR_ARCH_CAPABILITIES, MSR_ARCH_CAPABILITIES,   CONSTANT(ARCH_CAPABILITIES), FEAT_ARCH_CAPABILITIES },
    { MSR_SYSENTER_CS, MSR_SYSENTER_CS,               STORED(msr.sysenter_cs), FEAT_SEP },
    { MSR_SYSENTER_ESP, MSR_SYSENTER_ESP,             CANONICAL(msr.sysenter_esp), FEAT_SEP },
    { MSR_SYSENTER_EIP, MSR_SYSENTER_EIP,             CANONICAL(msr.sysenter_eip), FEAT_SEP },
    { MSR_MCG_CAP, MSR_MCG_CAP,                       CONSTANT(0), FEAT_MCA },
    { MSR_MCG_STATUS, MSR_MCG_STATUS,                 CHECKED(msr.mcg_status, msr_write_mcg_status), FEAT_MCA },
    { MSR_MISC_ENABLE, MSR_MISC_ENABLE,               CHECKED(msr.misc_enable, msr_write_misc_enable), FEAT_NONE },
    { MSR_DEBUGCTL, MSR_DEBUGCTL,                     msr_read_const, msr_write_debugctl, 0, FEAT_NONE },
    { MSR_MTRR_PHYSBASE0, MSR_MTRR_PHYSBASE0 + 2 * MTRR_VAR_COUNT - 1,
                                                      msr_read_mtrr_var, msr_write_mtrr_var, 0, FEAT_MTRR },
    { MSR_MTRR_FIX64K, MSR_MTRR_FIX64K,               msr_read_mtrr_fixed, msr_write_mtrr_fixed, 0, FEAT_MTRR },
    { MSR_MTRR_FIX16K_80000, MSR_MTRR_FIX16K_A0000,   msr_read_mtrr_fixed, msr_write_mtrr_fixed, 0, FEAT_MTRR },
    { MSR_MTRR_FIX4K_C0000, MSR_MTRR_FIX4K_F8000,     msr_read_mtrr_fixed, msr_write_mtrr_fixed, 0, FEAT_MTRR },
    { MSR_PAT, MSR_PAT,                               CHECKED(msr.pat, msr_write_pat), FEAT_PAT },
    { MSR_MTRR_DEF_TYPE, MSR_MTRR_DEF_TYPE,           CHECKED(msr.mtrr_def_type, msr_write_mtrr_def_type), FEAT_MTRR },
    { MSR_TSC_DEADLINE, MSR_TSC_DEADLINE,             msr_read_apic, msr_write_apic, 0, FEAT_TSC_DEADLINE },
    { MSR_X2APIC_FIRST, MSR_X2APIC_LAST,              msr_read_apic, msr_write_apic, 0, FEAT_X2APIC },
    { MSR_KVM_WALL_CLOCK, MSR_KVM_WALL_CLOCK,
        CHECKED(msr.kvm_wall_clock, msr_write_kvm_wall_clock), FEAT_NONE },
    { MSR_KVM_SYSTEM_TIME, MSR_KVM_SYSTEM_TIME,
        CHECKED(msr.kvm_system_time, msr_write_kvm_system_time), FEAT_NONE },
    { MSR_EFER, MSR_EFER,                             CHECKED(msr.efer, msr_write_efer), FEAT_NONE },
    { MSR_STAR, MSR_STAR,                             STORED(msr.star), FEAT_SYSCALL },
    { MSR_LSTAR, MSR_LSTAR,                           CANONICAL(msr.lstar), FEAT_LM },
    { MSR_CSTAR, MSR_CSTAR,                           CANONICAL(msr.cstar), FEAT_LM },
    { MSR_FMASK, MSR_FMASK,                           STORED(msr.fmask), FEAT_SYSCALL },
    { MSR_FS_BASE, MSR_FS_BASE,                       CANONICAL(seg[SEG_FS].base), FEAT_LM },
    { MSR_GS_BASE, MSR_GS_BASE,                       CANONICAL(seg[SEG_GS].base), FEAT_LM },
    { MSR_KERNEL_GS_BASE, MSR_KERNEL_GS_BASE,         CANONICAL(msr.kernel_gs_base), FEAT_LM },
    { MSR_TSC_AUX, MSR_TSC_AUX,                       STORED32(msr.tsc_aux), FEAT_RDTSCP },
    { MSR_AMD_SYSCFG, MSR_AMD_SYSCFG,                 DUMMY(0), FEAT_NONE },
    { MSR_AMD_HWCR, MSR_AMD_HWCR,                     DUMMY(HWCR_TSC_FREQ_SEL), FEAT_NONE },
    { MSR_AMD_NB_CFG, MSR_AMD_NB_CFG,                 DUMMY(0), FEAT_NONE },
    { MSR_AMD_PATCH_LOADER, MSR_AMD_PATCH_LOADER,     NULL, msr_write_ignore, 0, FEAT_NONE },
    { MSR_AMD_INT_PENDING, MSR_AMD_INT_PENDING,       DUMMY(0), FEAT_NONE },
    { MSR_AMD_OSVW_ID_LENGTH, MSR_AMD_OSVW_STATUS,    DUMMY(0), FEAT_NONE },
    { MSR_AMD_LS_CFG, MSR_AMD_IC_CFG,                 DUMMY(0), FEAT_NONE },
    { MSR_AMD_DE_CFG, MSR_AMD_DE_CFG,                 DUMMY(DE_CFG_LFENCE_SERIALIZING), FEAT_NONE },
    { MSR_AMD_BU_CFG2, MSR_AMD_BU_CFG2,               DUMMY(0), FEAT_NONE },
    /* clang-format on */
};

static bool msr_is_kvm(u32 index)
{
    return index == MSR_KVM_WALL_CLOCK || index == MSR_KVM_SYSTEM_TIME ||
           index == MSR_KVM_WALL_CLOCK_OLD || index == MSR_KVM_SYSTEM_TIME_OLD;
}

/* The row of a register that this model has, or NULL. */
static const struct msr_row *msr_find(const struct cpu *cpu, u32 index)
{
    unsigned low = 0, high = ARRAY_SIZE(msr_rows);

    while (low < high) {
        unsigned middle = (low + high) / 2;
        const struct msr_row *row = &msr_rows[middle];

        if (index > row->last) {
            low = middle + 1;
        } else if (index < row->first) {
            high = middle;
        } else {
            bool there = msr_is_kvm(index) ? cpuid_has_kvm(cpu->cpuid) : msr_has(cpu, row->feature);

            return there ? row : NULL;
        }
    }
    return NULL;
}

bool msr_read(struct cpu *cpu, u32 index, u64 *value)
{
    const struct msr_row *row = msr_find(cpu, index);

    if (row && row->read && row->read(cpu, row, index, value))
        return true;
    LOG(LOG_UNIMP, "rdmsr 0x%x: #GP", index);
    return false;
}

bool msr_write(struct cpu *cpu, u32 index, u64 value)
{
    const struct msr_row *row = msr_find(cpu, index);

    if (row && row->write && row->write(cpu, row, index, value))
        return true;
    LOG(LOG_UNIMP, "wrmsr 0x%x, 0x%llx: #GP", index, (unsigned long long)value);
    return false;
}
