/* SPDX-License-Identifier: MIT */
/* The log: whole lines to stderr or to the file of -D. */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const struct log_item_info log_items[] = {
    { "unimp", LOG_UNIMP, "accesses to ports and memory where nothing is" },
    { "guest_errors", LOG_GUEST_ERRORS, "what the guest did against a specification" },
    { "int", LOG_INT, "interrupts and exceptions as they are delivered" },
    { "cpu_reset", LOG_CPU_RESET, "CPU state at each reset and triple fault" },
    { "in_asm", LOG_IN_ASM, "guest instructions as blocks are decoded" },
    { "op", LOG_OP, "the same instructions as the engine sees them" },
    { "out_asm", LOG_OUT_ASM, "host code of blocks as they are translated" },
    { "cpu", LOG_CPU, "CPU registers before each block" },
    { "boot", LOG_BOOT, "what the loader chose, and why" },
    { "stats", LOG_STATS, "engine statistics at exit" },
    { "mmu", LOG_MMU, "page faults and TLB flushes" },
    { "exits", LOG_EXITS, "with KVM, why and where guests left it, counted at exit" },
    { NULL, 0, NULL },
};

_Atomic u32 log_mask;
static _Atomic int log_fd = STDERR_FILENO;

void log_enable(u32 items)
{
    atomic_fetch_or(&log_mask, items);
}

bool log_open(const char *path, struct error *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);

    if (fd < 0)
        return error_set_errno(err, errno, "cannot open the log file '%s'", path);
    log_close();
    atomic_store(&log_fd, fd);
    return true;
}

void log_close(void)
{
    int fd = atomic_exchange(&log_fd, STDERR_FILENO);

    if (fd != STDERR_FILENO)
        close(fd);
}

/* A log that cannot be written is not worth ending a guest for: errors are dropped. */
static void log_write(int fd, const char *text, size_t size)
{
    while (size) {
        ssize_t n = write(fd, text, size);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        text += n;
        size -= (size_t)n;
    }
}

static __attribute__((format(printf, 3, 0))) void log_format(int fd, const char *prefix,
                                                             const char *format, va_list args)
{
    char line[1024];
    size_t used = (size_t)snprintf(line, sizeof(line), "%s", prefix);
    int n = vsnprintf(line + used, sizeof(line) - used - 1, format, args);

    if (n < 0)
        return;
    used += MIN((size_t)n, sizeof(line) - used - 2);
    line[used++] = '\n';
    log_write(fd, line, used);
}

void log_line(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    log_format(atomic_load(&log_fd), "", format, args);
    va_end(args);
}

void log_text(const char *text)
{
    log_write(atomic_load(&log_fd), text, strlen(text));
}

void log_warn(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    log_format(STDERR_FILENO, "mote: warning: ", format, args);
    va_end(args);
}

void log_error(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    log_format(STDERR_FILENO, "mote: ", format, args);
    va_end(args);
}
