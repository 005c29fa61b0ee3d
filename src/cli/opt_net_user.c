/* SPDX-License-Identifier: MIT */
/* -netdev user: the addresses of its network, and forwarded ports. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/number.h"
#include "cli/opt_net.h"

#define CLI_NET_DEFAULT  "10.0.2.0/24"
#define CLI_NET6_DEFAULT "fec0::"
#define CLI_HOST_PART    2u
#define CLI_DNS_PART     3u
#define CLI_DHCP_PART    15u
#define CLI_PORT_MAX     65535u

/* ---- Forwarded ports ---- */

/* Up to `end`, which is cut off; an address in brackets is taken whole. */
static char *cli_cut(char **text, char end, bool *bracketed)
{
    char *begin = *text, *stop;

    *bracketed = begin[0] == '[' && strchr(begin, ']');
    if (*bracketed) {
        stop = strchr(++begin, ']');
        *stop++ = 0;
        if (*stop != end)
            return NULL;
    } else {
        stop = strchr(begin, end);
    }
    if (!stop)
        return NULL;
    *stop = 0;
    *text = stop + 1;
    return begin;
}

static bool cli_parse_ip(const char *text, bool v6, struct in6_addr *address)
{
    *address = in6addr_any;
    return !text[0] || inet_pton(v6 ? AF_INET6 : AF_INET, text, address) == 1;
}

static bool cli_parse_port(const char *text, u16 *port)
{
    u64 value;

    if (number_parse(text, CLI_PORT_MAX, &value) != NUMBER_OK || !value)
        return false;
    *port = (u16)value;
    return true;
}

static bool cli_parse_protocol(const char *text, bool *udp)
{
    *udp = !strcmp(text, "udp");
    return *udp || !text[0] || !strcmp(text, "tcp");
}

/* PROTOCOL:[HOST]:PORT-[GUEST]:PORT; cuts `text` up. */
static bool cli_split_hostfwd(char *text, struct net_forward *f)
{
    bool plain, host6, guest6;
    char *protocol = cli_cut(&text, ':', &plain);
    char *host = protocol ? cli_cut(&text, ':', &host6) : NULL;
    char *host_port = host ? cli_cut(&text, '-', &plain) : NULL;
    char *guest = host_port ? cli_cut(&text, ':', &guest6) : NULL;

    if (!guest || !cli_parse_protocol(protocol, &f->udp))
        return false;
    f->v6 = host6 || guest6;
    return cli_parse_ip(host, f->v6, &f->host) && cli_parse_ip(guest, f->v6, &f->guest) &&
           cli_parse_port(host_port, &f->host_port) && cli_parse_port(text, &f->guest_port) &&
           (!f->v6 || guest[0]);
}

/* [tcp]:GUEST:PORT-TARGET */
static bool cli_split_guestfwd(char *text, struct net_forward *f)
{
    bool plain, v6;
    char *protocol = cli_cut(&text, ':', &plain);
    char *guest = protocol ? cli_cut(&text, ':', &v6) : NULL;
    char *port = guest ? cli_cut(&text, '-', &plain) : NULL;

    if (!port || !cli_parse_protocol(protocol, &f->udp) || f->udp || v6 || !guest[0])
        return false;
    key_replace_string(&f->target, text);
    return cli_parse_ip(guest, false, &f->guest) && cli_parse_port(port, &f->guest_port) &&
           (!strncmp(text, "cmd:", 4) || !strncmp(text, "unix:", 5)) &&
           text[strcspn(text, ":") + 1];
}

static bool cli_set_hostfwd(struct cli *cli, void *object, const char *value, struct error *err)
{
    struct net_user_config *user = &((struct cli_net *)object)->net.user;
    struct net_forward *f = &user->hostfwds[user->hostfwd_count];
    char *text;
    bool ok;

    (void)cli;
    if (user->hostfwd_count == CONFIG_NET_FORWARDS_MAX)
        return error_set(err, "more than %d hostfwd rules", CONFIG_NET_FORWARDS_MAX);
    text = xstrdup(value);
    ok = cli_split_hostfwd(text, f);
    free(text);
    if (!ok)
        return error_set(err,
                         "Invalid host forwarding rule '%.64s': "
                         "[tcp|udp]:[HOST]:PORT-[GUEST]:PORT is expected",
                         value);
    key_replace_string(&f->target, value);
    user->hostfwd_count++;
    return true;
}

static bool cli_set_guestfwd(struct cli *cli, void *object, const char *value, struct error *err)
{
    struct net_user_config *user = &((struct cli_net *)object)->net.user;
    struct net_forward *f = &user->guestfwds[user->guestfwd_count];
    char *text;
    bool ok;

    (void)cli;
    if (user->guestfwd_count == CONFIG_NET_FORWARDS_MAX)
        return error_set(err, "more than %d guestfwd rules", CONFIG_NET_FORWARDS_MAX);
    text = xstrdup(value);
    ok = cli_split_guestfwd(text, f);
    free(text);
    user->guestfwd_count++; /* its target is freed with the others */
    return ok || error_set(err,
                           "Invalid guest forwarding rule '%.64s': [tcp]:GUEST:PORT-cmd:COMMAND or "
                           "[tcp]:GUEST:PORT-unix:PATH is expected",
                           value);
}

static bool cli_set_dnssearch(struct cli *cli, void *object, const char *value, struct error *err)
{
    struct net_user_config *user = &((struct cli_net *)object)->net.user;

    (void)cli;
    if (user->search_count == CONFIG_NET_SEARCHES_MAX)
        return error_set(err, "more than %d dnssearch domains", CONFIG_NET_SEARCHES_MAX);
    user->searches[user->search_count++] = xstrdup(value);
    return true;
}

static enum on_off_auto cli_on_off(const char *value)
{
    bool on = false;

    return key_parse_bool(value, &on) && on ? OOA_ON : OOA_OFF;
}

static bool cli_set_ipv4(struct cli *cli, void *object, const char *value, struct error *err)
{
    (void)cli;
    (void)err;
    ((struct cli_net *)object)->net.user.ipv4 = cli_on_off(value);
    return true;
}

static bool cli_set_ipv6(struct cli *cli, void *object, const char *value, struct error *err)
{
    (void)cli;
    (void)err;
    ((struct cli_net *)object)->net.user.ipv6 = cli_on_off(value);
    return true;
}

static bool cli_refuse_tftp(struct cli *cli, void *object, const char *value, struct error *err)
{
    (void)cli;
    (void)object;
    (void)value;
    return error_set(err, "tftp and smb are not served here; hostfwd, guestfwd and HTTP from the "
                          "host's address are other ways to files");
}

/* ---- Keys ---- */

const struct key cli_user_keys[] = {
    { "id", KEY_STRING, CLI_NET(net.id), .help = "the name that -device refers to it by" },
    { "restrict", KEY_BOOL, CLI_NET(net.user.restricted),
      .help = "the guest reaches nothing but what is forwarded" },
    { "ipv4", KEY_BOOL, .call = cli_set_ipv4, .help = "IPv4 (on)" },
    { "ipv6", KEY_BOOL, .call = cli_set_ipv6, .help = "IPv6 (on)" },
    { "net", KEY_STRING, CLI_NET(address), .help = "its IPv4 addresses (10.0.2.0/24)" },
    { "host", KEY_STRING, CLI_NET(host), .help = "the host, as the guest sees it (10.0.2.2)" },
    { "dns", KEY_STRING, CLI_NET(dns), .help = "the name server (10.0.2.3)" },
    { "dhcpstart", KEY_STRING, CLI_NET(dhcp_start),
      .help = "the first address that DHCP gives (10.0.2.15)" },
    { "ipv6-net", KEY_STRING, CLI_NET(address6), .help = "its IPv6 addresses (fec0::/64)" },
    { "ipv6-prefix", KEY_STRING, CLI_NET(prefix6), .help = "the same without the size" },
    { "ipv6-prefixlen", KEY_UINT, CLI_NET(net.user.prefix6_size), .max = 126,
      .help = "and the size (64)" },
    { "ipv6-host", KEY_STRING, CLI_NET(host6), .help = "the host (fec0::2)" },
    { "ipv6-dns", KEY_STRING, CLI_NET(dns6), .help = "the name server (fec0::3)" },
    { "hostname", KEY_STRING, CLI_NET(net.user.hostname), .help = "the guest's name, by DHCP" },
    { "domainname", KEY_STRING, CLI_NET(net.user.domainname), .help = "its domain, by DHCP" },
    { "dnssearch", KEY_CALL, .call = cli_set_dnssearch,
      .help = "a domain to look for names in; may be repeated" },
    { "bootfile", KEY_STRING, CLI_NET(net.user.bootfile), .help = "the boot file's name, by DHCP" },
    { "tftp-server-name", KEY_STRING, CLI_NET(net.user.tftp_server),
      .help = "the TFTP server's name, by DHCP" },
    { "hostfwd", KEY_CALL, .call = cli_set_hostfwd,
      .help = "[tcp|udp]:[HOST]:PORT-[GUEST]:PORT: what comes to the host's port goes to the "
              "guest's; may be repeated" },
    { "guestfwd", KEY_CALL, .call = cli_set_guestfwd,
      .help = "[tcp]:GUEST:PORT-cmd:COMMAND or -unix:PATH: what the guest sends to this address "
              "of its network goes there; may be repeated" },
    { .name = "tftp", .type = KEY_CALL, .call = cli_refuse_tftp },
    { .name = "smb", .type = KEY_CALL, .call = cli_refuse_tftp },
    { .name = "smbserver", .type = KEY_CALL, .call = cli_refuse_tftp },
    { .name = NULL },
};

/* ---- Addresses ---- */

static bool cli_parse_mask(const char *text, u32 *mask)
{
    struct in_addr dotted;
    u64 bits;

    if (number_parse(text, 30, &bits) == NUMBER_OK && bits >= 8) {
        *mask = UINT32_MAX << (32 - bits);
        return true;
    }
    *mask = inet_pton(AF_INET, text, &dotted) == 1 ? ntohl(dotted.s_addr) : 0;
    return *mask && !(~*mask & (~*mask + 1)) && ~*mask >= 3;
}

/* By the class of the address, as QEMU does it. */
static u32 cli_mask_of(u32 net)
{
    if (!(net & 0x80000000u))
        return 0xFF000000u;
    return net & 0x40000000u ? 0xFFFFFF00u : 0xFFFF0000u;
}

/* NET[/MASK] */
static bool cli_set_net(struct net_user_config *user, const char *value, struct error *err)
{
    char text[64], *slash;
    struct in_addr net;
    u32 mask;

    snprintf(text, sizeof(text), "%s", value);
    slash = strchr(text, '/');
    if (slash)
        *slash = 0;
    if (inet_pton(AF_INET, text, &net) != 1 || (slash && !cli_parse_mask(slash + 1, &mask)))
        return error_set(err, "Parameter 'net' expects ADDRESS/BITS, as 10.0.2.0/24, not '%.64s'",
                         value);
    if (!slash)
        mask = cli_mask_of(ntohl(net.s_addr));
    user->mask.s_addr = htonl(mask);
    user->net.s_addr = net.s_addr & user->mask.s_addr;
    return true;
}

/* An address of the network, or its `part`-th one. */
static bool cli_set_ip(const struct net_user_config *user, const char *key, const char *value,
                       u32 part, struct in_addr *address, struct error *err)
{
    address->s_addr = user->net.s_addr | (htonl(part) & ~user->mask.s_addr);
    if (!value)
        return true;
    if (inet_pton(AF_INET, value, address) != 1)
        return error_set(err, "Parameter '%s' expects an IPv4 address, not '%.64s'", key, value);
    if ((address->s_addr & user->mask.s_addr) != user->net.s_addr ||
        !(address->s_addr & ~user->mask.s_addr) || !~(address->s_addr | user->mask.s_addr))
        return error_set(err, "%s=%.64s: not an address of the network given by net=", key, value);
    return true;
}

static bool cli_finish_ipv4(const struct cli_net *n, struct net_user_config *user,
                            struct error *err)
{
    if (!cli_set_net(user, n->address ? n->address : CLI_NET_DEFAULT, err) ||
        !cli_set_ip(user, "host", n->host, CLI_HOST_PART, &user->host, err) ||
        !cli_set_ip(user, "dns", n->dns, CLI_DNS_PART, &user->dns, err) ||
        !cli_set_ip(user, "dhcpstart", n->dhcp_start, CLI_DHCP_PART, &user->dhcp_start, err))
        return false;
    if (user->host.s_addr == user->dns.s_addr)
        return error_set(err, "host and dns must be different addresses");
    if (user->dhcp_start.s_addr == user->host.s_addr || user->dhcp_start.s_addr == user->dns.s_addr)
        return error_set(err, "dhcpstart must be neither the host's nor the name server's address");
    return true;
}

static bool cli_same_prefix(const struct in6_addr *a, const struct in6_addr *b, u32 bits)
{
    unsigned whole = bits / 8;
    u8 mask = (u8)(0xFF00u >> bits % 8);

    return !memcmp(a, b, whole) && !((a->s6_addr[whole] ^ b->s6_addr[whole]) & mask);
}

static bool cli_set_ip6(const struct net_user_config *user, const char *key, const char *value,
                        u8 part, struct in6_addr *address, struct error *err)
{
    *address = user->prefix6;
    address->s6_addr[15] |= part;
    if (!value)
        return true;
    if (inet_pton(AF_INET6, value, address) != 1)
        return error_set(err, "Parameter '%s' expects an IPv6 address, not '%.64s'", key, value);
    return cli_same_prefix(address, &user->prefix6, user->prefix6_size) ||
           error_set(err, "%s=%.64s: not an address of the network given by ipv6-net=", key, value);
}

static bool cli_finish_ipv6(const struct cli_net *n, struct net_user_config *user,
                            struct error *err)
{
    const char *value = n->address6 ? n->address6 : n->prefix6 ? n->prefix6 : CLI_NET6_DEFAULT;
    char text[64], *slash;
    u64 bits = user->prefix6_size ? user->prefix6_size : 64;

    snprintf(text, sizeof(text), "%s", value);
    slash = strchr(text, '/');
    if (slash)
        *slash = 0;
    if (inet_pton(AF_INET6, text, &user->prefix6) != 1 ||
        (slash && number_parse(slash + 1, 126, &bits) != NUMBER_OK) || !bits)
        return error_set(err, "Parameter 'ipv6-net' expects PREFIX/BITS, as fec0::/64, not '%.64s'",
                         value);
    user->prefix6_size = (u32)bits;
    return cli_set_ip6(user, "ipv6-host", n->host6, CLI_HOST_PART, &user->host6, err) &&
           cli_set_ip6(user, "ipv6-dns", n->dns6, CLI_DNS_PART, &user->dns6, err);
}

/* What is switched on alone switches the other one off, as on QEMU. */
static void cli_choose_ip(struct net_user_config *user)
{
    bool ipv4 = user->ipv4 == OOA_ON || (user->ipv4 == OOA_AUTO && user->ipv6 != OOA_ON);
    bool ipv6 = user->ipv6 == OOA_ON || (user->ipv6 == OOA_AUTO && user->ipv4 != OOA_ON);

    user->ipv4 = ipv4 ? OOA_ON : OOA_OFF;
    user->ipv6 = ipv6 ? OOA_ON : OOA_OFF;
}

bool cli_finish_user(struct cli *cli, struct cli_net *n, struct error *err)
{
    struct net_user_config *user = &n->net.user;

    (void)cli;
    n->net.kind = NET_USER;
    cli_choose_ip(user);
    if (user->ipv4 == OOA_OFF && user->ipv6 == OOA_OFF)
        return error_set(err, "ipv4 and ipv6 are both off: nothing is left");
    if (user->hostname && strlen(user->hostname) > 32)
        return error_set(err, "hostname: at most 32 characters");
    return cli_finish_ipv4(n, user, err) && cli_finish_ipv6(n, user, err);
}
