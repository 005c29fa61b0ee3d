/* SPDX-License-Identifier: MIT */
/*
 * The 16550A UART.
 *
 * Source: National Semiconductor PC16550D data sheet; section numbers in comments are its own (8.0
 * Registers, 8.11 FIFO interrupt mode operation).
 *
 * Transmission takes no time: a byte leaves with the write, and the interrupt for an empty
 * transmitter comes at once. The baud rate only sets how long a short input waits for the FIFO
 * timeout.
 *
 * NOT EMULATED: DMA mode, parity and framing errors (a break is the one error of input), the gating
 * of the interrupt line by OUT2, a break towards the backend. The modem inputs are steady: DCD, DSR
 * and CTS.
 */
#include "hw/uart16550.h"

#include <stdlib.h>

#include "base/bits.h"
#include "base/mem.h"
#include "host/char.h"
#include "host/loop.h"

#define UART_FIFO_SIZE        16u
#define UART_CLOCK_HZ         115200u /* the crystal by 16: the rate at divisor 1 */
#define UART_TIMEOUT_CHARS    4u
#define UART_NS_PER_S         UINT64_C(1000000000)
#define UART_DIVISOR_POWER_ON 12u /* 9600 baud, which is what QEMU starts with */

/* Registers by offset; DLAB maps the first two to the divisor. */
enum uart_register {
    UART_RBR = 0, /* read */
    UART_THR = 0, /* write */
    UART_DLL = 0, /* DLAB */
    UART_IER = 1,
    UART_DLM = 1, /* DLAB */
    UART_IIR = 2, /* read */
    UART_FCR = 2, /* write */
    UART_LCR = 3,
    UART_MCR = 4,
    UART_LSR = 5,
    UART_MSR = 6,
    UART_SCR = 7,
};

#define UART_IER_ERBFI     BIT(0) /* received data */
#define UART_IER_ETBEI     BIT(1) /* transmitter empty */
#define UART_IER_ELSI      BIT(2) /* receiver line status */
#define UART_IER_EDSSI     BIT(3) /* modem status */
#define UART_IER_WRITABLE  0x0Fu

#define UART_IIR_MODEM     0x00u
#define UART_IIR_NONE      0x01u
#define UART_IIR_THRE      0x02u
#define UART_IIR_DATA      0x04u
#define UART_IIR_LINE      0x06u
#define UART_IIR_TIMEOUT   0x0Cu
#define UART_IIR_FIFOS     0xC0u

#define UART_FCR_ENABLE    BIT(0)
#define UART_FCR_CLEAR_RX  BIT(1)
#define UART_FCR_CLEAR_TX  BIT(2)
#define UART_FCR_TRIGGER   0xC0u

#define UART_LCR_WLS       0x03u
#define UART_LCR_STB       BIT(2)
#define UART_LCR_PEN       BIT(3)
#define UART_LCR_BREAK     BIT(6)
#define UART_LCR_DLAB      BIT(7)

#define UART_MCR_DTR       BIT(0)
#define UART_MCR_RTS       BIT(1)
#define UART_MCR_OUT1      BIT(2)
#define UART_MCR_OUT2      BIT(3)
#define UART_MCR_LOOP      BIT(4)
#define UART_MCR_WRITABLE  0x1Fu

#define UART_LSR_DR        BIT(0)
#define UART_LSR_OE        BIT(1)
#define UART_LSR_PE        BIT(2)
#define UART_LSR_FE        BIT(3)
#define UART_LSR_BI        BIT(4)
#define UART_LSR_THRE      BIT(5)
#define UART_LSR_TEMT      BIT(6)
#define UART_LSR_FIFO_ERR  BIT(7)
#define UART_LSR_ERRORS    (UART_LSR_OE | UART_LSR_PE | UART_LSR_FE | UART_LSR_BI)

#define UART_MSR_DELTAS    0x0Fu /* DCTS, DDSR, TERI, DDCD */
#define UART_MSR_TERI      BIT(2)
#define UART_MSR_CTS       BIT(4)
#define UART_MSR_DSR       BIT(5)
#define UART_MSR_RI        BIT(6)
#define UART_MSR_DCD       BIT(7)
#define UART_MSR_CONNECTED (UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS)

/* A FIFO, or with FIFOs off the one holding register. */
struct uart16550_fifo {
    u8 data[UART_FIFO_SIZE];
    u8 errors[UART_FIFO_SIZE]; /* LSR bits that came with the byte */
    u8 head;
    u8 count;
};

struct uart16550 {
    struct device dev;
    struct irq irq;
    struct chardev *chr; /* NULL, or attached */
    struct clock *clock;
    struct timer timer; /* FIFO timeout */

    struct uart16550_state {
        u8 rbr; /* the last byte read, which an empty 16450 repeats */
        u8 ier;
        u8 fcr; /* ENABLE and TRIGGER */
        u8 lcr;
        u8 mcr;
        u8 lsr; /* the error bits that software has to see; the others are computed */
        u8 msr;
        u8 scr;
        u16 divisor;
        struct uart16550_fifo rx;
        struct uart16550_fifo tx;
        bool thre;    /* the transmitter interrupt waits */
        bool timeout; /* the FIFO timeout has come */
        bool starved; /* the backend was told that there is no room */
        bool irq_level;
    } s;
};

static bool uart16550_has_fifos(const struct uart16550 *uart)
{
    return uart->s.fcr & UART_FCR_ENABLE;
}

static unsigned uart16550_depth(const struct uart16550 *uart)
{
    return uart16550_has_fifos(uart) ? UART_FIFO_SIZE : 1;
}

static bool uart16550_loops(const struct uart16550 *uart)
{
    return uart->s.mcr & UART_MCR_LOOP;
}

static void uart16550_fifo_put(struct uart16550_fifo *fifo, u8 byte, u8 errors)
{
    unsigned tail = (fifo->head + fifo->count) % UART_FIFO_SIZE;

    fifo->data[tail] = byte;
    fifo->errors[tail] = errors;
    fifo->count++;
}

static u8 uart16550_fifo_get(struct uart16550_fifo *fifo)
{
    u8 byte = fifo->data[fifo->head];

    fifo->head = (fifo->head + 1) % UART_FIFO_SIZE;
    fifo->count--;
    return byte;
}

static bool uart16550_fifo_has_errors(const struct uart16550_fifo *fifo)
{
    for (unsigned i = 0; i < fifo->count; i++)
        if (fifo->errors[(fifo->head + i) % UART_FIFO_SIZE])
            return true;
    return false;
}

/* Bytes in the receiver from which on it interrupts (8.5, "FIFO control register"). */
static unsigned uart16550_trigger(const struct uart16550 *uart)
{
    static const u8 levels[] = { 1, 4, 8, 14 };

    return uart16550_has_fifos(uart) ? levels[FIELD_GET(UART_FCR_TRIGGER, uart->s.fcr)] : 1;
}

/* One character with start, parity and stop bits. A divisor of 0 counts as 1. */
static u64 uart16550_char_ns(const struct uart16550 *uart)
{
    u8 lcr = uart->s.lcr;
    unsigned bits =
        1 + 5 + (lcr & UART_LCR_WLS) + !!(lcr & UART_LCR_PEN) + (lcr & UART_LCR_STB ? 2 : 1);

    return (u64)bits * MAX(uart->s.divisor, 1u) * UART_NS_PER_S / UART_CLOCK_HZ;
}

/* What IIR shows: the interrupt of highest priority that is enabled and waits (8.6). */
static u8 uart16550_interrupt(const struct uart16550 *uart)
{
    const struct uart16550_state *s = &uart->s;

    if ((s->ier & UART_IER_ELSI) && (s->lsr & UART_LSR_ERRORS))
        return UART_IIR_LINE;
    if ((s->ier & UART_IER_ERBFI) && s->rx.count >= uart16550_trigger(uart))
        return UART_IIR_DATA;
    if ((s->ier & UART_IER_ERBFI) && s->timeout)
        return UART_IIR_TIMEOUT;
    if ((s->ier & UART_IER_ETBEI) && s->thre)
        return UART_IIR_THRE;
    if ((s->ier & UART_IER_EDSSI) && (s->msr & UART_MSR_DELTAS))
        return UART_IIR_MODEM;
    return UART_IIR_NONE;
}

/* Let the line follow the state; the end of each entry point. */
static void uart16550_update(struct uart16550 *uart)
{
    bool level = uart16550_interrupt(uart) != UART_IIR_NONE;

    if (level == uart->s.irq_level)
        return;
    uart->s.irq_level = level;
    irq_set(&uart->irq, level);
}

/*
 * Each byte that comes or is read starts the FIFO timeout anew, as long as there is a byte left
 * that the trigger level does not announce (8.11).
 */
static void uart16550_restart_timeout(struct uart16550 *uart)
{
    u64 wait = UART_TIMEOUT_CHARS * uart16550_char_ns(uart);

    uart->s.timeout = false;
    if (uart16550_has_fifos(uart) && uart->s.rx.count)
        timer_arm(&uart->timer, clock_ns(uart->clock) + wait);
    else
        timer_cancel(&uart->timer);
}

/* The error bits of a byte show in LSR when it has come to the top of the FIFO (8.4). */
static void uart16550_show_errors(struct uart16550 *uart)
{
    struct uart16550_fifo *rx = &uart->s.rx;

    if (!rx->count)
        return;
    uart->s.lsr |= rx->errors[rx->head];
    rx->errors[rx->head] = 0;
}

/*
 * A byte arrives. Without room the FIFO keeps what it has; the single register of a 16450 is
 * overwritten (8.4, "OE"). Only looped back bytes and breaks can come to that.
 */
static void uart16550_receive_byte(struct uart16550 *uart, u8 byte, u8 errors)
{
    struct uart16550_fifo *rx = &uart->s.rx;

    if (rx->count == uart16550_depth(uart)) {
        uart->s.lsr |= UART_LSR_OE;
        if (uart16550_has_fifos(uart))
            return;
        rx->count = 0;
    }
    uart16550_fifo_put(rx, byte, errors);
    uart16550_show_errors(uart);
    uart16550_restart_timeout(uart);
}

/*
 * Tell a backend that was refused that there is room again; once the receiver is empty, not for
 * each byte.
 */
static void uart16550_feed(struct uart16550 *uart)
{
    if (!uart->s.starved || uart->s.rx.count || uart16550_loops(uart))
        return;
    uart->s.starved = false;
    chardev_resume(uart->chr);
}

static void uart16550_clear_rx(struct uart16550 *uart)
{
    uart->s.rx.count = 0;
    uart16550_restart_timeout(uart);
    uart16550_feed(uart);
}

/* The transmitter asks for more even when it was empty before, which is what QEMU's does. */
static void uart16550_clear_tx(struct uart16550 *uart)
{
    uart->s.tx.count = 0;
    uart->s.thre = true;
}

/*
 * Send what the transmitter holds, as far as it goes. The interrupt comes when it has become empty.
 */
static void uart16550_transmit(struct uart16550 *uart)
{
    struct uart16550_fifo *tx = &uart->s.tx;

    if (!tx->count)
        return;
    while (tx->count) {
        u8 byte = tx->data[tx->head];

        if (uart16550_loops(uart))
            uart16550_receive_byte(uart, byte, 0);
        else if (uart->chr && !chardev_write(uart->chr, &byte, 1))
            return;
        uart16550_fifo_get(tx);
    }
    uart->s.thre = true;
}

static u8 uart16550_read_rbr(struct uart16550 *uart)
{
    if (!uart->s.rx.count)
        return uart16550_has_fifos(uart) ? 0 : uart->s.rbr;
    uart->s.rbr = uart16550_fifo_get(&uart->s.rx);
    uart16550_show_errors(uart);
    uart16550_restart_timeout(uart);
    uart16550_feed(uart);
    return uart->s.rbr;
}

/* Reading IIR settles the transmitter's interrupt, if that is the one shown (8.6). */
static u8 uart16550_read_iir(struct uart16550 *uart)
{
    u8 source = uart16550_interrupt(uart);

    if (source == UART_IIR_THRE)
        uart->s.thre = false;
    return source | (uart16550_has_fifos(uart) ? UART_IIR_FIFOS : 0);
}

static u8 uart16550_read_lsr(struct uart16550 *uart)
{
    struct uart16550_state *s = &uart->s;
    u8 lsr = s->lsr;

    if (s->rx.count)
        lsr |= UART_LSR_DR;
    if (!s->tx.count)
        lsr |= UART_LSR_THRE | UART_LSR_TEMT;
    if (uart16550_has_fifos(uart) &&
        ((lsr & (UART_LSR_ERRORS & ~UART_LSR_OE)) || uart16550_fifo_has_errors(&s->rx)))
        lsr |= UART_LSR_FIFO_ERR;
    s->lsr = 0;
    return lsr;
}

static u8 uart16550_read_msr(struct uart16550 *uart)
{
    u8 msr = uart->s.msr;

    uart->s.msr &= (u8)~UART_MSR_DELTAS;
    return msr;
}

static u8 uart16550_read_register(struct uart16550 *uart, unsigned offset)
{
    struct uart16550_state *s = &uart->s;
    bool dlab = s->lcr & UART_LCR_DLAB;

    switch (offset) {
    case UART_RBR: return dlab ? (u8)s->divisor : uart16550_read_rbr(uart);
    case UART_IER: return dlab ? (u8)(s->divisor >> 8) : s->ier;
    case UART_IIR: return uart16550_read_iir(uart);
    case UART_LCR: return s->lcr;
    case UART_MCR: return s->mcr;
    case UART_LSR: return uart16550_read_lsr(uart);
    case UART_MSR: return uart16550_read_msr(uart);
    default: return s->scr;
    }
}

static u64 uart16550_read(void *opaque, u64 offset, unsigned size)
{
    struct uart16550 *uart = opaque;
    u8 value = uart16550_read_register(uart, (unsigned)offset);

    (void)size;
    uart16550_update(uart);
    return value;
}

/*
 * Writing THR settles the transmitter's interrupt; the line shows that before the byte is gone and
 * raises the next one, for who looks at edges. A full FIFO loses what is written to it, a full
 * register what it had.
 */
static void uart16550_write_thr(struct uart16550 *uart, u8 value)
{
    struct uart16550_fifo *tx = &uart->s.tx;

    uart->s.thre = false;
    uart16550_update(uart);
    if (tx->count == uart16550_depth(uart)) {
        if (uart16550_has_fifos(uart))
            return;
        tx->count = 0;
    }
    uart16550_fifo_put(tx, value, 0);
    uart16550_transmit(uart);
}

/* Enabling the transmitter's interrupt raises it when the transmitter is empty (8.7). */
static void uart16550_write_ier(struct uart16550 *uart, u8 value)
{
    u8 changed = uart->s.ier ^ value;

    uart->s.ier = value & UART_IER_WRITABLE;
    if (changed & UART_IER_ETBEI)
        uart->s.thre = (value & UART_IER_ETBEI) && !uart->s.tx.count;
}

/*
 * The other bits are taken only together with ENABLE, and changing ENABLE clears both FIFOs (8.5).
 */
static void uart16550_write_fcr(struct uart16550 *uart, u8 value)
{
    u8 changed = uart->s.fcr ^ value;
    u8 clear = value & UART_FCR_ENABLE ? value : 0;

    uart->s.fcr = value & UART_FCR_ENABLE ? value & (UART_FCR_ENABLE | UART_FCR_TRIGGER) : 0;
    if ((changed & UART_FCR_ENABLE) || (clear & UART_FCR_CLEAR_RX))
        uart16550_clear_rx(uart);
    if ((changed & UART_FCR_ENABLE) || (clear & UART_FCR_CLEAR_TX))
        uart16550_clear_tx(uart);
}

/* A break that is sent while looping back is received (8.2, 8.8). */
static void uart16550_write_lcr(struct uart16550 *uart, u8 value)
{
    bool begins = (value & ~uart->s.lcr) & UART_LCR_BREAK;

    uart->s.lcr = value;
    if (begins && uart16550_loops(uart))
        uart16550_receive_byte(uart, 0, UART_LSR_BI);
}

/* The modem inputs: those of the line, or when looping back the port's own outputs (8.8). */
static u8 uart16550_modem_inputs(const struct uart16550 *uart)
{
    u8 mcr = uart->s.mcr;

    if (!(mcr & UART_MCR_LOOP))
        return UART_MSR_CONNECTED;
    return (u8)((mcr & UART_MCR_RTS ? UART_MSR_CTS : 0) | (mcr & UART_MCR_DTR ? UART_MSR_DSR : 0) |
                (mcr & UART_MCR_OUT1 ? UART_MSR_RI : 0) | (mcr & UART_MCR_OUT2 ? UART_MSR_DCD : 0));
}

/*
 * Each delta bit tells that its input changed; TERI only that RI fell (8.9). The deltas are 4 bits
 * below.
 */
static void uart16550_write_mcr(struct uart16550 *uart, u8 value)
{
    u8 before = uart->s.msr;
    u8 inputs, deltas;

    uart->s.mcr = value & UART_MCR_WRITABLE;
    inputs = uart16550_modem_inputs(uart);
    deltas = (u8)((before ^ inputs) >> 4);
    if (inputs & UART_MSR_RI)
        deltas &= (u8)~UART_MSR_TERI;
    uart->s.msr = (u8)(inputs | (before & UART_MSR_DELTAS) | deltas);
    uart16550_transmit(uart);
    uart16550_feed(uart);
}

static void uart16550_write_divisor(struct uart16550 *uart, unsigned offset, u8 value)
{
    if (offset == UART_DLL)
        uart->s.divisor = (u16)((uart->s.divisor & 0xFF00) | value);
    else
        uart->s.divisor = (u16)((uart->s.divisor & 0x00FF) | value << 8);
}

static void uart16550_write_register(struct uart16550 *uart, unsigned offset, u8 value)
{
    switch (offset) {
    case UART_THR: uart16550_write_thr(uart, value); break;
    case UART_IER: uart16550_write_ier(uart, value); break;
    case UART_FCR: uart16550_write_fcr(uart, value); break;
    case UART_LCR: uart16550_write_lcr(uart, value); break;
    case UART_MCR: uart16550_write_mcr(uart, value); break;
    case UART_LSR:
    case UART_MSR: break; /* for factory tests only (8.4, 8.9) */
    default: uart->s.scr = value; break;
    }
}

static void uart16550_write(void *opaque, u64 offset, unsigned size, u64 value)
{
    struct uart16550 *uart = opaque;

    (void)size;
    if (offset <= UART_DLM && (uart->s.lcr & UART_LCR_DLAB))
        uart16550_write_divisor(uart, (unsigned)offset, (u8)value);
    else
        uart16550_write_register(uart, (unsigned)offset, (u8)value);
    uart16550_update(uart);
}

static void uart16550_timeout(void *arg)
{
    struct uart16550 *uart = arg;

    uart->s.timeout = uart16550_has_fifos(uart) && uart->s.rx.count;
    uart16550_update(uart);
}

/* The receiver's input is cut off while the port loops back. */
static size_t uart16550_can_receive(void *arg)
{
    struct uart16550 *uart = arg;
    unsigned room = uart16550_loops(uart) ? 0 : uart16550_depth(uart) - uart->s.rx.count;

    uart->s.starved = uart->s.starved || !room;
    return room;
}

static void uart16550_receive(void *arg, const u8 *data, size_t size)
{
    struct uart16550 *uart = arg;

    for (size_t i = 0; i < size; i++)
        uart16550_receive_byte(uart, data[i], 0);
    uart->s.starved = uart->s.starved || uart->s.rx.count == uart16550_depth(uart);
    uart16550_update(uart);
}

/* A break is received as a zero byte (8.4, "BI"). */
static void uart16550_event(void *arg, enum chardev_event event)
{
    struct uart16550 *uart = arg;

    if (event != CHARDEV_BREAK || uart16550_loops(uart))
        return;
    uart16550_receive_byte(uart, 0, UART_LSR_BI);
    uart16550_update(uart);
}

static void uart16550_writable(void *arg)
{
    struct uart16550 *uart = arg;

    uart16550_transmit(uart);
    uart16550_update(uart);
}

/*
 * Bytes that wait for the backend are lost, as on a line that is pulled; bytes for the guest are
 * kept by it.
 */
static void uart16550_reset(struct device *dev)
{
    struct uart16550 *uart = container_of(dev, struct uart16550, dev);
    bool starved = uart->s.starved;
    bool level = uart->s.irq_level;

    uart->s = (struct uart16550_state){
        .mcr = UART_MCR_OUT2,
        .msr = UART_MSR_CONNECTED,
        .divisor = UART_DIVISOR_POWER_ON,
        .starved = starved,
        .irq_level = level,
    };
    timer_cancel(&uart->timer);
    uart16550_feed(uart);
    uart16550_update(uart);
}

static void uart16550_free(struct device *dev)
{
    struct uart16550 *uart = container_of(dev, struct uart16550, dev);

    if (uart->chr)
        chardev_detach(uart->chr);
    timer_cancel(&uart->timer);
    pthread_mutex_destroy(&dev->lock);
    free(uart);
}

static const struct device_ops uart16550_device_ops = {
    .reset = uart16550_reset,
    .free = uart16550_free,
};

const struct region_ops uart16550_ops = {
    .read = uart16550_read,
    .write = uart16550_write,
    .sizes = BUS_SIZE_1,
    .split = true,
};

static bool uart16550_attach(struct uart16550 *uart, struct chardev *chr)
{
    const struct chardev_frontend frontend = {
        .lock = &uart->dev.lock,
        .can_receive = uart16550_can_receive,
        .receive = uart16550_receive,
        .event = uart16550_event,
        .writable = uart16550_writable,
        .arg = uart,
    };

    if (!chr)
        return true;
    if (!chardev_attach(chr, &frontend))
        return false;
    uart->chr = chr;
    return true;
}

struct uart16550 *uart16550_new(const struct uart16550_config *config, struct error *err)
{
    struct uart16550 *uart = xcalloc(1, sizeof(*uart));

    device_init(&uart->dev, config->name, &uart16550_device_ops);
    uart->irq = config->irq;
    uart->clock = config->clock;
    timer_init(&uart->timer, config->loop, &uart->dev.lock, uart16550_timeout, uart);
    uart16550_reset(&uart->dev);
    if (!uart16550_attach(uart, config->chr)) {
        error_set(err, "%s: the character device '%s' is in use", config->name,
                  config->chr->id ? config->chr->id : "");
        uart16550_free(&uart->dev);
        return NULL;
    }
    return uart;
}

struct device *uart16550_device(struct uart16550 *uart)
{
    return &uart->dev;
}
