/* SPDX-License-Identifier: MIT */
/* -device virtio-balloon-device: checked here, read by the machine. */
#include "base/bits.h"
#include "cli/cli.h"
#include "cli/number.h"

static bool cli_check_target(struct cli *cli, void *object, const char *value, struct error *err)
{
    u64 bytes;

    (void)cli;
    (void)object;
    if (number_parse_size(value, MIB(1), &bytes) == NUMBER_OK && bytes)
        return true;
    return error_set(err,
                     "Parameter 'target' expects the memory that the guest should keep, in MiB or "
                     "with a suffix: 512, 1.5G");
}

const struct key cli_balloon_keys[] = {
    { "deflate-on-oom", KEY_BOOL, KEY_NOWHERE,
      .help = "the guest may take memory back before it would kill a process (off)" },
    { "free-page-reporting", KEY_BOOL, KEY_NOWHERE,
      .help = "the guest tells of free pages, which the host then has back (off)" },
    { "guest-stats-polling-interval", KEY_UINT, KEY_NOWHERE, .max = 86400,
      .help = "seconds between statistics of the guest's (0: none)" },
    { "target", KEY_CALL, KEY_NOWHERE, .call = cli_check_target,
      .help = "memory that the guest should keep: it gives the rest back (all)" },
    CLI_VIRTIO_KEYS,
};
