/* SPDX-License-Identifier: MIT */
/* -serial, -chardev and -nographic: what becomes character backends. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/suggest.h"

/* ---- Keys ---- */

#define CHARDEV(member) offsetof(struct chardev_config, member)

/* clang-format off */
#define CHARDEV_COMMON_KEYS \
    { "id", KEY_STRING, CHARDEV(id), .help = "the name that others refer to it by" }, \
    { "logfile", KEY_STRING, CHARDEV(logfile), .help = "a copy of the output goes to this file" }, \
    { "logappend", KEY_BOOL, CHARDEV(logappend), .help = "add to the log file, do not empty it" }, \
    { "mux", KEY_BOOL, CHARDEV(mux), .help = "Ctrl-A is an escape key (Ctrl-A h lists what for)" }

#define CHARDEV_SOCKET_KEYS \
    { "server", KEY_BOOL, CHARDEV(server), .help = "listen, do not connect" }, \
    { "wait", KEY_BOOL, .call = cli_socket_wait, \
      .help = "on: a server waits for its first client before the guest starts" }, \
    { "telnet", KEY_BOOL, CHARDEV(telnet), .help = "speak the telnet protocol" }, \
    { "reconnect", KEY_UINT, CHARDEV(reconnect), .max = 86400, \
      .help = "a client tries again after so many seconds; 0: never" }, \
    { .name = "nodelay", .type = KEY_BOOL, .offset = KEY_NOWHERE }, \
    { .name = "delay", .type = KEY_BOOL, .offset = KEY_NOWHERE }
/* clang-format on */

static const struct key cli_null_keys[] = { CHARDEV_COMMON_KEYS, { .name = NULL } };

const struct key cli_stdio_keys[] = {
    CHARDEV_COMMON_KEYS,
    { "signal", KEY_BOOL, CHARDEV(signal),
      .help = "Ctrl-C ends mote and does not reach the guest" },
    { .name = NULL },
};

const struct key cli_file_keys[] = {
    CHARDEV_COMMON_KEYS,
    { "path", KEY_STRING, CHARDEV(path), .help = "the file" },
    { "append", KEY_BOOL, CHARDEV(append), .help = "add to the file, do not empty it" },
    { .name = NULL },
};

static const struct key cli_pipe_keys[] = {
    CHARDEV_COMMON_KEYS,
    { "path", KEY_STRING, CHARDEV(path),
      .help = "named pipes PATH.in (to the guest) and PATH.out, or PATH both ways" },
    { .name = NULL },
};

/* While an option is parsed: whether wait= was said, which only a server may. */
struct cli_socket {
    struct chardev_config chardev; /* first: the keys' offsets are into it */
    bool wait_given;
    char *address; /* of -serial tcp: HOST:PORT */
};

static bool cli_socket_wait(struct cli *cli, void *object, const char *value, struct error *err)
{
    struct cli_socket *socket = object;

    (void)cli;
    (void)err;
    socket->wait_given = true;
    return key_parse_bool(value, &socket->chardev.wait);
}

const struct key cli_socket_keys[] = {
    CHARDEV_COMMON_KEYS,
    { "path", KEY_STRING, CHARDEV(path), .help = "a unix socket" },
    { "host", KEY_STRING, CHARDEV(host), .help = "TCP: the host, or the address to listen on" },
    { "port", KEY_STRING, CHARDEV(port),
      .help = "TCP: the port, a number or the name of a service" },
    { .name = "ipv4", .type = KEY_BOOL, .offset = KEY_NOWHERE },
    { .name = "ipv6", .type = KEY_BOOL, .offset = KEY_NOWHERE },
    CHARDEV_SOCKET_KEYS,
    { .name = NULL },
};

/* After -serial unix:PATH and -serial tcp:HOST:PORT. */
static const struct key cli_serial_socket_keys[] = {
    { .name = "path", .type = KEY_STRING, .offset = CHARDEV(path) },
    { .name = "address", .type = KEY_STRING, .offset = offsetof(struct cli_socket, address) },
    { .name = "logfile", .type = KEY_STRING, .offset = CHARDEV(logfile) },
    { .name = "logappend", .type = KEY_BOOL, .offset = CHARDEV(logappend) },
    CHARDEV_SOCKET_KEYS,
    { .name = NULL },
};

/* ---- Kinds ---- */

struct cli_backend {
    const char *name;
    enum chardev_kind kind;
    const struct key *keys;
    bool needs_path;
    const char *help;
};

static const struct cli_backend cli_backends[] = {
    { "file", CHARDEV_FILE, cli_file_keys, true, "output to a file" },
    { "null", CHARDEV_NULL, cli_null_keys, false, "no input; output vanishes" },
    { "pipe", CHARDEV_PIPE, cli_pipe_keys, true, "named pipes" },
    { "pty", CHARDEV_PTY, cli_null_keys, false, "a pseudo-terminal, whose name is printed" },
    { "socket", CHARDEV_SOCKET_UNIX, cli_socket_keys, false, "a unix or TCP socket" },
    { "stdio", CHARDEV_STDIO, cli_stdio_keys, false, "standard input and output" },
};

/* ---- Building ---- */

bool cli_check_id(const char *id, struct error *err)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    static const char others[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";

    if (id[0] && strchr(letters, id[0]) && !id[strspn(id, others)])
        return true;
    return error_set(
        err,
        "Parameter 'id' expects an identifier: letters, digits, '-', '.', '_', starting with "
        "a letter; '%.64s' is none",
        id);
}

static struct chardev_config *cli_new_chardev(struct cli *cli, enum chardev_kind kind,
                                              struct error *err)
{
    struct config *config = cli->config;
    struct chardev_config *chardev = &config->chardevs[config->chardev_count];

    if (config->chardev_count == CONFIG_CHARDEVS_MAX) {
        error_set(err, "more than %d character devices", CONFIG_CHARDEVS_MAX);
        return NULL;
    }
    *chardev = (struct chardev_config){ .kind = kind, .signal = true };
    chardev->text = xstrdup(cli->source);
    config->chardev_count++;
    return chardev;
}

/* What is wrong with a socket once all its keys are known; fills in what follows from them. */
static bool cli_finish_socket(struct cli_socket *socket, struct error *err)
{
    struct chardev_config *c = &socket->chardev;

    if (!c->path == !c->port)
        return error_set(err, c->path ? "a socket has a path or a port, not both"
                                      : "a socket needs 'path', or 'host' and 'port'");
    if (c->path && !c->path[0])
        return error_set(err, "a socket's path cannot be empty");
    c->kind = c->path ? CHARDEV_SOCKET_UNIX : CHARDEV_SOCKET_TCP;
    if (c->server && c->reconnect)
        return error_set(err,
                         "'reconnect' is for clients; a server waits for the next one in any case");
    if (!c->server && socket->wait_given)
        return error_set(err, "'wait' is for servers: add 'server=on'");
    if (c->server && !socket->wait_given)
        c->wait = true;
    return true;
}

static bool cli_set_keys(struct cli *cli, const struct key *keys, void *object,
                         const struct keyval *kv, unsigned first, struct error *err)
{
    const struct key_table table = { keys, "Invalid parameter '", "'", .bare_ok = true };

    for (unsigned i = first; i < kv->count; i++)
        if (!key_set(cli, &table, object, &kv->items[i], err))
            return false;
    return true;
}

/* HOST:PORT, where HOST may be empty, or an IPv6 address in brackets. */
static bool cli_split_address(struct cli_socket *socket, struct error *err)
{
    char *host = socket->address, *colon = strrchr(host, ':');

    if (!colon || !colon[1])
        return error_set(err, "'HOST:PORT' is expected, not '%.64s'", host);
    key_replace_string(&socket->chardev.port, colon + 1);
    if (host[0] == '[' && colon[-1] == ']') {
        host++;
        colon--;
    }
    *colon = 0;
    key_replace_string(&socket->chardev.host, host);
    return true;
}

/* Set all keys of a backend in its place in the configuration. */
static bool cli_fill_chardev(struct cli *cli, const struct key *keys,
                             struct chardev_config *chardev, const struct keyval *kv,
                             unsigned first, struct error *err)
{
    struct cli_socket socket = { .chardev = *chardev };
    bool is_socket = chardev->kind == CHARDEV_SOCKET_UNIX || chardev->kind == CHARDEV_SOCKET_TCP;
    bool ok = cli_set_keys(cli, keys, &socket, kv, first, err) &&
              (!socket.address || cli_split_address(&socket, err)) &&
              (!is_socket || cli_finish_socket(&socket, err));

    free(socket.address);
    *chardev = socket.chardev;
    return ok;
}

/* ---- -chardev ---- */

static bool cli_chardev_help(struct cli *cli)
{
    printf("Available chardev backend types:\n");
    for (size_t i = 0; i < ARRAY_SIZE(cli_backends); i++)
        printf("  %-8s %s\n", cli_backends[i].name, cli_backends[i].help);
    cli->done = true;
    return true;
}

static const struct cli_backend *cli_find_backend(const char *name, struct error *err)
{
    struct suggest suggest;

    suggest_init(&suggest, name);
    for (size_t i = 0; i < ARRAY_SIZE(cli_backends); i++) {
        if (!strcmp(cli_backends[i].name, name))
            return &cli_backends[i];
        suggest_try(&suggest, cli_backends[i].name);
    }
    error_set(err, "'%.64s' is not a valid char driver name", name);
    suggest_append(&suggest, "", err);
    return NULL;
}

static bool cli_check_chardev_id(struct cli *cli, const struct chardev_config *chardev,
                                 struct error *err)
{
    if (!chardev->id)
        return error_set(err, "chardev: no id specified");
    if (!cli_check_id(chardev->id, err))
        return false;
    if (config_chardev(cli->config, chardev->id) != chardev)
        return error_set(err, "Duplicate ID '%.64s' for chardev", chardev->id);
    return true;
}

static bool cli_add_chardev(struct cli *cli, const struct keyval *kv, struct error *err)
{
    const struct cli_backend *backend;
    struct chardev_config *chardev;

    if (!kv->items[0].implied)
        return error_set(err, "a backend is expected first; '-chardev help' lists them");
    backend = cli_find_backend(kv->items[0].value, err);
    chardev = backend ? cli_new_chardev(cli, backend->kind, err) : NULL;
    if (!chardev || !cli_fill_chardev(cli, backend->keys, chardev, kv, 1, err))
        return false;
    if (backend->needs_path && (!chardev->path || !chardev->path[0]))
        return error_set(err, "chardev: %s: no filename given: 'path' is needed", backend->name);
    return cli_check_chardev_id(cli, chardev, err);
}

/* `-chardev stdio,help`: the keys of one backend. */
static bool cli_backend_help(struct cli *cli, const struct keyval *kv, struct error *err)
{
    const struct cli_backend *backend;

    if (keyval_is_help(kv->items[0].value))
        return cli_chardev_help(cli);
    backend = cli_find_backend(kv->items[0].value, err);
    if (!backend)
        return false;
    printf("%s options:\n", backend->name);
    key_print_help(stdout, backend->keys);
    cli->done = true;
    return true;
}

bool cli_parse_chardev(struct cli *cli, const char *value, struct error *err)
{
    struct keyval kv;
    bool ok = keyval_parse(&kv, value, "backend", err);

    if (ok)
        ok = keyval_wants_help(&kv) ? cli_backend_help(cli, &kv, err)
                                    : cli_add_chardev(cli, &kv, err);
    keyval_fini(&kv);
    return ok;
}

/* ---- -serial ---- */

/*
 * DEVICE:REST. How REST is read: nothing follows; a file name as it stands; or the first key's
 * value.
 */
struct cli_serial_kind {
    const char *prefix;
    enum chardev_kind kind;
    enum { SERIAL_WORD, SERIAL_PATH, SERIAL_SOCKET } rest;
    const char *first_key;
    bool telnet;
};

static const struct cli_serial_kind cli_serial_kinds[] = {
    { "null", CHARDEV_NULL, SERIAL_WORD, NULL, false },
    { "stdio", CHARDEV_STDIO, SERIAL_WORD, NULL, false },
    { "pty", CHARDEV_PTY, SERIAL_WORD, NULL, false },
    { "file:", CHARDEV_FILE, SERIAL_PATH, NULL, false },
    { "pipe:", CHARDEV_PIPE, SERIAL_PATH, NULL, false },
    { "unix:", CHARDEV_SOCKET_UNIX, SERIAL_SOCKET, "path=", false },
    { "tcp:", CHARDEV_SOCKET_TCP, SERIAL_SOCKET, "address=", false },
    { "telnet:", CHARDEV_SOCKET_TCP, SERIAL_SOCKET, "address=", true },
};

static bool cli_serial_matches(const struct cli_serial_kind *kind, const char *value)
{
    if (kind->rest == SERIAL_WORD)
        return !strcmp(value, kind->prefix);
    return !strncmp(value, kind->prefix, strlen(kind->prefix));
}

static const struct cli_serial_kind *cli_find_serial_kind(const char *value, struct error *err)
{
    static const char *const more[] = { "none", "mon:stdio", "chardev:" };
    struct suggest suggest;

    suggest_init(&suggest, value);
    for (size_t i = 0; i < ARRAY_SIZE(cli_serial_kinds); i++) {
        if (cli_serial_matches(&cli_serial_kinds[i], value))
            return &cli_serial_kinds[i];
        suggest_try(&suggest, cli_serial_kinds[i].prefix);
    }
    for (size_t i = 0; i < ARRAY_SIZE(more); i++)
        suggest_try(&suggest, more[i]);
    error_set(err, "'%.64s' is not a valid char driver", value);
    if (!suggest.best)
        error_set(
            err,
            "'%.64s' is not a valid char driver; there are none, null, stdio, mon:stdio, pty, "
            "file:PATH, "
            "pipe:PATH, unix:PATH, tcp:HOST:PORT, telnet:HOST:PORT and chardev:ID",
            value);
    suggest_append(&suggest, "", err);
    return NULL;
}

static bool cli_fill_serial_socket(struct cli *cli, const struct cli_serial_kind *kind,
                                   struct chardev_config *chardev, const char *rest,
                                   struct error *err)
{
    size_t size = strlen(kind->first_key) + strlen(rest) + 1;
    char *text = xcalloc(size, 1);
    struct keyval kv;
    bool ok;

    snprintf(text, size, "%s%s", kind->first_key, rest);
    chardev->telnet = kind->telnet;
    ok = keyval_parse(&kv, text, NULL, err) &&
         cli_fill_chardev(cli, cli_serial_socket_keys, chardev, &kv, 0, err);
    keyval_fini(&kv);
    free(text);
    return ok;
}

static bool cli_fill_serial(struct cli *cli, const struct cli_serial_kind *kind,
                            struct chardev_config *chardev, const char *value, struct error *err)
{
    const char *rest = value + strlen(kind->prefix);

    if (kind->rest == SERIAL_WORD)
        return true;
    if (!rest[0])
        return error_set(err, "a name is expected after '%s'", kind->prefix);
    if (kind->rest == SERIAL_SOCKET)
        return cli_fill_serial_socket(cli, kind, chardev, rest, err);
    chardev->path = xstrdup(rest);
    return true;
}

/* A backend of its own, named `id`, for the device that -serial and its like describe. */
static bool cli_make_backend(struct cli *cli, const char *id, const char *value, struct error *err)
{
    bool mux = !strncmp(value, "mon:", 4);
    const struct cli_serial_kind *kind;
    struct chardev_config *chardev;

    value += mux ? 4 : 0;
    kind = cli_find_serial_kind(value, err);
    chardev = kind ? cli_new_chardev(cli, kind->kind, err) : NULL;
    if (!chardev)
        return false;
    chardev->id = xstrdup(id);
    chardev->mux = mux;
    chardev->signal = !mux;
    return cli_fill_serial(cli, kind, chardev, value, err) &&
           cli_check_chardev_id(cli, chardev, err);
}

static bool cli_make_serial(struct cli *cli, unsigned n, const char *value, struct error *err)
{
    char id[16];

    snprintf(id, sizeof(id), "serial%u", n);
    if (!cli_make_backend(cli, id, value, err))
        return false;
    cli->config->serial_chardev[n] = xstrdup(id);
    return true;
}

bool cli_parse_debugcon(struct cli *cli, const char *value, struct error *err)
{
    char device[128];

    if (!strcmp(value, "none"))
        return true;
    if (!strncmp(value, "chardev:", 8)) {
        snprintf(device, sizeof(device), "isa-debugcon,chardev=%s", value + 8);
        return cli_add_implied_device(cli, device, device, err);
    }
    return cli_make_backend(cli, "debugcon", value, err) &&
           cli_add_implied_device(cli, "isa-debugcon,chardev=debugcon", "isa-debugcon", err);
}

bool cli_parse_serial(struct cli *cli, const char *value, struct error *err)
{
    struct config *config = cli->config;
    unsigned n = config->serial_count;

    if (n == CONFIG_SERIALS_MAX)
        return error_set(err, "more than %d serial ports", CONFIG_SERIALS_MAX);
    config->serial_count++;
    memcpy(cli->serial_source[n], cli->source, sizeof(cli->source));
    if (!strcmp(value, "none"))
        return true;
    if (!strncmp(value, "chardev:", 8)) {
        config->serial_chardev[n] = xstrdup(value + 8);
        return true;
    }
    return cli_make_serial(cli, n, value, err);
}

bool cli_parse_nographic(struct cli *cli, const char *value, struct error *err)
{
    (void)value;
    (void)err;
    cli->config->nographic = true;
    cli->config->machine.graphics = false;
    return true;
}

/* ---- When all is known ---- */

bool cli_claim_chardev(struct cli *cli, const char *id, struct error *err)
{
    const struct config *config = cli->config;
    struct suggest suggest;
    unsigned users = 0;

    if (!config_chardev(config, id)) {
        error_set(err, "there is no chardev '%.64s'", id);
        suggest_init(&suggest, id);
        for (unsigned i = 0; i < config->chardev_count; i++)
            suggest_try(&suggest, config->chardevs[i].id);
        return suggest_append(&suggest, "", err);
    }
    for (unsigned i = 0; i < config->serial_count; i++)
        users += config->serial_chardev[i] && !strcmp(config->serial_chardev[i], id);
    for (unsigned i = 0; i < config->device_count; i++) {
        const char *used = device_config_get(&config->devices[i], "chardev");

        users += used && !strcmp(used, id);
    }
    return users < 2 || error_set(err, "chardev '%.64s' is in use by another device", id);
}

/* A process has one standard input. */
static bool cli_check_stdio(struct cli *cli, struct error *err)
{
    const struct config *config = cli->config;
    const struct chardev_config *user = NULL;

    for (unsigned i = 0; i < config->chardev_count; i++) {
        const struct chardev_config *c = &config->chardevs[i];

        if (c->kind != CHARDEV_STDIO)
            continue;
        if (user)
            return error_set(err, "%s: cannot use stdio by multiple character devices", c->text);
        if (config->daemonize)
            return error_set(err, "%s: cannot use stdio with -daemonize", c->text);
        user = c;
    }
    return true;
}

static bool cli_uses_stdio(const struct config *config)
{
    for (unsigned i = 0; i < config->chardev_count; i++)
        if (config->chardevs[i].kind == CHARDEV_STDIO)
            return true;
    return false;
}

/* Without a word about serial ports the console is where the user is. */
static bool cli_add_default_serial(struct cli *cli, struct error *err)
{
    struct config *config = cli->config;

    if (config->nodefaults || config->serial_count)
        return true;
    snprintf(cli->source, sizeof(cli->source), "-serial (default)");
    return cli_parse_serial(cli, config->daemonize || cli_uses_stdio(config) ? "null" : "mon:stdio",
                            err) ||
           error_prefix(err, "%s: ", cli->source);
}

bool cli_finish_chardevs(struct cli *cli, struct error *err)
{
    const struct config *config = cli->config;

    if (!cli_add_default_serial(cli, err) || !cli_check_stdio(cli, err))
        return false;
    for (unsigned i = 0; i < config->serial_count; i++)
        if (config->serial_chardev[i] && !cli_claim_chardev(cli, config->serial_chardev[i], err))
            return error_prefix(err, "%s: ", cli->serial_source[i]);
    return true;
}
