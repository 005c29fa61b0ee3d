/* SPDX-License-Identifier: MIT */
/* -name, -uuid, -rtc, -action and -d. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/bits.h"
#include "base/log.h"
#include "cli/cli.h"
#include "cli/suggest.h"

static bool cli_parse_table(struct cli *cli, const struct key_table *table, const char *implied,
                            const char *value, struct error *err)
{
    struct keyval kv;
    bool ok = keyval_parse(&kv, value, implied, err);

    for (unsigned i = 0; ok && i < kv.count; i++)
        ok = key_set(cli, table, cli->config, &kv.items[i], err);
    keyval_fini(&kv);
    return ok;
}

/* ---- -overcommit ---- */

const struct key cli_overcommit_keys[] = {
    { "mem-lock", KEY_BOOL, offsetof(struct config, overcommit.mem_lock),
      .help = "keep all memory of the process in RAM (off)" },
    { "cpu-pm", KEY_BOOL, offsetof(struct config, overcommit.cpu_pm),
      .help = "with KVM, let the guest stop the host's CPUs (off)" },
    { .name = NULL },
};

bool cli_parse_overcommit(struct cli *cli, const char *value, struct error *err)
{
    static const struct key_table table = { cli_overcommit_keys, "Invalid parameter '", "'",
                                            .bare_ok = true };

    return cli_parse_table(cli, &table, NULL, value, err);
}

/* ---- -name ---- */

const struct key cli_name_keys[] = {
    { "guest", KEY_STRING, offsetof(struct config, name), .help = "the guest's name" },
    { .name = "process", .type = KEY_STRING, .offset = KEY_NOWHERE },
    { .name = "debug-threads", .type = KEY_BOOL, .offset = KEY_NOWHERE },
    { .name = NULL },
};

bool cli_parse_name(struct cli *cli, const char *value, struct error *err)
{
    static const struct key_table table = { cli_name_keys, "Invalid parameter '", "'",
                                            .bare_ok = true };

    return cli_parse_table(cli, &table, "guest", value, err);
}

/* ---- -action, and what its words mean ---- */

static const char *const cli_reboot_words[] = { "reset", "shutdown", NULL };
static const char *const cli_shutdown_words[] = { "poweroff", "pause", NULL };
static const char *const cli_panic_words[] = { "pause", "shutdown", "exit-failure", "none", NULL };
static const char *const cli_watchdog_words[] = { "reset", "shutdown",   "poweroff", "pause",
                                                  "debug", "inject-nmi", "none",     NULL };

static bool cli_action_word(const char *name, const char *const *words, const char *value,
                            bool *second, struct error *err)
{
    const struct key key = { name, KEY_WORD, KEY_NOWHERE, .words = words };

    *second = !strcmp(value, words[1]);
    return key_check(&key, value, err);
}

static bool cli_action_reboot(struct cli *cli, void *object, const char *value, struct error *err)
{
    (void)object;
    return cli_action_word("reboot", cli_reboot_words, value, &cli->config->no_reboot, err);
}

static bool cli_action_shutdown(struct cli *cli, void *object, const char *value, struct error *err)
{
    (void)object;
    return cli_action_word("shutdown", cli_shutdown_words, value, &cli->config->no_shutdown, err);
}

const struct key cli_action_keys[] = {
    { "reboot", KEY_CALL, .call = cli_action_reboot, .words = cli_reboot_words,
      .help = "when the guest resets: reset it, or shutdown" },
    { "shutdown", KEY_CALL, .call = cli_action_shutdown, .words = cli_shutdown_words,
      .help = "when the guest powers off: poweroff, which ends mote, or pause" },
    { "panic", KEY_WORD, KEY_NOWHERE, .words = cli_panic_words },
    { "watchdog", KEY_WORD, KEY_NOWHERE, .words = cli_watchdog_words },
    { .name = NULL },
};

bool cli_parse_action(struct cli *cli, const char *value, struct error *err)
{
    static const struct key_table table = { cli_action_keys, "Invalid parameter '", "'",
                                            .bare_ok = false };

    return cli_parse_table(cli, &table, NULL, value, err);
}

/* ---- -uuid ---- */

static int cli_hex_digit(char c)
{
    if (!isxdigit((unsigned char)c))
        return -1;
    return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

/* RFC 9562, section 4: 8-4-4-4-12 hex digits. */
static bool cli_read_uuid(const char *text, u8 *uuid)
{
    for (unsigned i = 0; i < 16; i++) {
        int high, low;

        if ((i == 4 || i == 6 || i == 8 || i == 10) && *text++ != '-')
            return false;
        high = cli_hex_digit(text[0]);
        low = high < 0 ? -1 : cli_hex_digit(text[1]);
        if (low < 0)
            return false;
        uuid[i] = (u8)(high << 4 | low);
        text += 2;
    }
    return !*text;
}

bool cli_parse_uuid(struct cli *cli, const char *value, struct error *err)
{
    cli->config->has_uuid = true;
    return cli_read_uuid(value, cli->config->uuid) ||
           error_set(err, "a UUID is expected, such as 12345678-9abc-def0-1234-56789abcdef0");
}

/* ---- -rtc ---- */

static const char *const cli_rtc_clocks[] = { "host", "rt", "vm", NULL };
static const char *const cli_rtc_fixes[] = { "none", "slew", NULL };

/* A date that exists: timegm() puts a day that its month does not have into the next one. */
static bool cli_read_date(const char *text, i64 *seconds)
{
    static const char *const formats[] = { "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d" };

    for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
        struct tm tm = { .tm_mday = 1 };
        const char *end = strptime(text, formats[i], &tm);
        int day = tm.tm_mday;

        if (!end || *end)
            continue;
        *seconds = timegm(&tm);
        return tm.tm_mday == day;
    }
    return false;
}

static bool cli_rtc_base(struct cli *cli, void *object, const char *value, struct error *err)
{
    struct rtc_config *rtc = &cli->config->rtc;

    (void)object;
    rtc->base = !strcmp(value, "utc")         ? RTC_BASE_UTC
                : !strcmp(value, "localtime") ? RTC_BASE_LOCALTIME
                                              : RTC_BASE_DATE;
    if (rtc->base != RTC_BASE_DATE || cli_read_date(value, &rtc->date))
        return true;
    return error_set(err,
                     "invalid datetime format '%.64s': utc, localtime, or a date such as "
                     "2006-06-17T16:01:21 or 2006-06-17 is expected",
                     value);
}

const struct key cli_rtc_keys[] = {
    { "base", KEY_CALL, .call = cli_rtc_base,
      .help = "what the clock shows at the start: utc, localtime, or a date" },
    { "clock", KEY_WORD, KEY_NOWHERE, .words = cli_rtc_clocks },
    { "driftfix", KEY_WORD, KEY_NOWHERE, .words = cli_rtc_fixes },
    { .name = NULL },
};

bool cli_parse_rtc(struct cli *cli, const char *value, struct error *err)
{
    static const struct key_table table = { cli_rtc_keys, "Invalid parameter '", "'",
                                            .bare_ok = false };

    return cli_parse_table(cli, &table, NULL, value, err);
}

/* ---- -d ---- */

static bool cli_log_help(struct cli *cli)
{
    printf("Log items (comma separated):\n");
    for (const struct log_item_info *item = log_items; item->name; item++)
        printf("%-15s %s\n", item->name, item->help);
    cli->done = true;
    return true;
}

static bool cli_add_log_item(struct cli *cli, const char *name, struct error *err)
{
    struct suggest suggest;

    suggest_init(&suggest, name);
    for (const struct log_item_info *item = log_items; item->name; item++) {
        if (!strcmp(name, item->name)) {
            cli->config->log_items |= item->item;
            return true;
        }
        suggest_try(&suggest, item->name);
    }
    if (!suggest.best)
        return error_set(err, "'%.64s' is not a log item; '-d help' lists them", name);
    error_set(err, "'%.64s' is not a log item", name);
    return suggest_append(&suggest, "", err);
}

bool cli_parse_log_items(struct cli *cli, const char *value, struct error *err)
{
    char name[80];

    if (keyval_is_help(value))
        return cli_log_help(cli);
    while (true) {
        size_t length = strcspn(value, ",");

        snprintf(name, sizeof(name), "%.*s", (int)MIN(length, sizeof(name) - 1), value);
        if (!cli_add_log_item(cli, name, err))
            return false;
        if (!value[length])
            return true;
        value += length + 1;
    }
}
