/* SPDX-License-Identifier: MIT */
/*
 * Log lines: warnings for the user, and the items of -d for whoever looks for a fault.
 *
 * The log is the one process-wide facility: it may be written from any thread, and each line is written
 * whole by a single write.
 */
#pragma once

#include <stdatomic.h>

#include "base/bits.h"
#include "base/error.h"
#include "base/types.h"

/* The items of -d, in the order of the help list. Keep in step with log_items in log.c. */
enum log_item {
    LOG_UNIMP = BIT(0),        /* accesses to ports and memory where nothing is */
    LOG_GUEST_ERRORS = BIT(1), /* what the guest did against a specification */
    LOG_INT = BIT(2),          /* interrupts and exceptions delivered */
    LOG_CPU_RESET = BIT(3),    /* CPU state at each reset and triple fault */
    LOG_IN_ASM = BIT(4),       /* guest instructions as blocks are decoded */
    LOG_CPU = BIT(5),          /* CPU registers at each block */
    LOG_BOOT = BIT(6),         /* what the loader chose, and why */
    LOG_STATS = BIT(7),        /* engine statistics at exit */
    LOG_MMU = BIT(8),          /* page faults and flushes */
    LOG_OP = BIT(9),           /* decoded instructions */
    LOG_OUT_ASM = BIT(10),     /* host code of translated blocks */
    LOG_EXITS = BIT(11),       /* exits from KVM, counted at exit */
};

struct log_item_info {
    const char *name;
    enum log_item item;
    const char *help;
};

/* All items, ended by a NULL name. */
extern const struct log_item_info log_items[];

/* The items that are on. Read it through log_on(). */
extern _Atomic u32 log_mask;

static inline bool log_on(enum log_item item)
{
    return unlikely(atomic_load_explicit(&log_mask, memory_order_relaxed) & item);
}

/* Turn items on. */
void log_enable(u32 items);

/* Send the log to the file `path` (truncated) instead of stderr. False and `err` when it cannot be opened. */
bool log_open(const char *path, struct error *err) __attribute__((warn_unused_result));

/* Close the log file; later lines go to stderr. */
void log_close(void);

/* One line, newline added, without a prefix. Use through LOG(). */
void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Several lines as they stand (dumps). */
void log_text(const char *text);

/* "mote: warning: ..." on stderr, always. */
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* "mote: ..." on stderr, always. */
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A line under a -d item; the arguments are not evaluated when the item is off. */
#define LOG(item, ...) \
    do { \
        if (log_on(item)) \
            log_line(__VA_ARGS__); \
    } while (0)

/*
 * The guest broke a specification: one line per site of the source under -d guest_errors. The caller then
 * puts the device in the state that the specification asks for.
 */
#define guest_error(...) \
    do { \
        static atomic_flag seen_ = ATOMIC_FLAG_INIT; \
        if (log_on(LOG_GUEST_ERRORS) && !atomic_flag_test_and_set(&seen_)) \
            log_line(__VA_ARGS__); \
    } while (0)
