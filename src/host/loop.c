/* SPDX-License-Identifier: MIT */
/*
 * The event loop: epoll(7) for descriptors, one timerfd for the earliest timer, one eventfd to be
 * woken.
 *
 * The loop's mutex protects the timer heap, the posted work and the watches' dead flags; it is the
 * last in the lock order and is never held around a callback. A due callback is run in three steps:
 * find it with the mutex, take its owner's lock without the mutex, and look again with both. So who
 * holds the owner's lock and has cancelled a timer, or removed a watch, knows that the callback
 * does not come; the memory must stay until the loop thread is at its next callback, which is why
 * owners free there.
 *
 * Timers use a timerfd and not the timeout of epoll_wait because the kernel adds slack to the
 * latter.
 */
#include "host/loop.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/mem.h"

#define LOOP_NS_PER_S    UINT64_C(1000000000)
#define LOOP_NS_PER_MS   UINT64_C(1000000)
#define LOOP_NEVER       UINT64_MAX
#define LOOP_SLEEP_MAX_S 86400u /* a day, then look again: the host's timers take no u64 */
#define LOOP_EVENTS      32
#define LOOP_HEAP_FIRST  32
#define LOOP_WORK_FIRST  16

struct loop_watch {
    struct loop *loop;
    int fd;
    pthread_mutex_t *lock;
    loop_fd_fn *fn;
    void *arg;
    bool dead;               /* removed; freed when the loop is between two rounds */
    struct loop_watch *next; /* among the dead */
};

struct loop_work {
    loop_fn *fn;
    void *arg;
};

struct loop_work_list {
    struct loop_work *items;
    size_t count;
    size_t size;
};

struct loop {
    struct clock *clock;
    int epoll_fd;
    int timer_fd;
    int wake_fd;
    _Atomic bool quit;

    pthread_mutex_t mutex; /* protects what follows */
    u64 sleep_until; /* what the sleeping loop waits for; 0 while it is awake or being woken */
    u64 timer_fd_deadline; /* what the timerfd is set to, LOOP_NEVER: not set; loop thread only */
    struct timer **heap;   /* binary heap by deadline, root at [1] */
    size_t heap_count;
    size_t heap_size; /* entries allocated */
    struct loop_work_list posted;
    struct loop_work_list running; /* loop thread only; keeps its memory for the next exchange */
    struct loop_watch *dead;
};

/* ---- Waking ---- */

static void loop_wake(struct loop *loop)
{
    u64 one = 1;
    ssize_t n = write(loop->wake_fd, &one, sizeof(one));

    (void)n; /* can only fail when 2^64 - 2 wakes are unread, and then the loop wakes anyway */
}

/* Wake the loop if it sleeps past `deadline`; once is enough. */
static bool loop_must_wake_locked(struct loop *loop, u64 deadline)
{
    if (deadline >= loop->sleep_until)
        return false;
    loop->sleep_until = 0;
    return true;
}

/* ---- The heap of timers ---- */

static void loop_heap_put(struct loop *loop, size_t slot, struct timer *timer)
{
    loop->heap[slot] = timer;
    timer->slot = slot;
}

static void loop_heap_up(struct loop *loop, size_t slot)
{
    struct timer *timer = loop->heap[slot];

    for (; slot > 1 && loop->heap[slot / 2]->deadline > timer->deadline; slot /= 2)
        loop_heap_put(loop, slot, loop->heap[slot / 2]);
    loop_heap_put(loop, slot, timer);
}

static void loop_heap_down(struct loop *loop, size_t slot)
{
    struct timer *timer = loop->heap[slot];
    size_t child;

    while ((child = slot * 2) <= loop->heap_count) {
        if (child < loop->heap_count &&
            loop->heap[child + 1]->deadline < loop->heap[child]->deadline)
            child++;
        if (loop->heap[child]->deadline >= timer->deadline)
            break;
        loop_heap_put(loop, slot, loop->heap[child]);
        slot = child;
    }
    loop_heap_put(loop, slot, timer);
}

static void *loop_grow(void *array, size_t *size, size_t first, size_t item)
{
    size_t bigger = *size ? *size * 2 : first;
    void *grown = xcalloc(bigger, item);

    if (array)
        memcpy(grown, array, *size * item);
    free(array);
    *size = bigger;
    return grown;
}

static void loop_heap_insert(struct loop *loop, struct timer *timer)
{
    size_t slot = ++loop->heap_count;

    if (slot >= loop->heap_size)
        loop->heap = loop_grow(loop->heap, &loop->heap_size, LOOP_HEAP_FIRST, sizeof(*loop->heap));
    loop_heap_put(loop, slot, timer);
    loop_heap_up(loop, slot);
}

static void loop_heap_remove(struct loop *loop, struct timer *timer)
{
    size_t slot = timer->slot;
    struct timer *last = loop->heap[loop->heap_count--];

    timer->slot = 0;
    if (last == timer)
        return;
    loop_heap_put(loop, slot, last);
    loop_heap_up(loop, slot);
    loop_heap_down(loop, last->slot);
}

void timer_init(struct timer *timer, struct loop *loop, pthread_mutex_t *lock, loop_fn *fn,
                void *arg)
{
    *timer = (struct timer){ .loop = loop, .lock = lock, .fn = fn, .arg = arg };
}

void timer_arm(struct timer *timer, u64 deadline)
{
    struct loop *loop = timer->loop;
    bool wake;

    pthread_mutex_lock(&loop->mutex);
    timer->deadline = deadline;
    if (timer->slot) {
        loop_heap_up(loop, timer->slot);
        loop_heap_down(loop, timer->slot);
    } else {
        loop_heap_insert(loop, timer);
    }
    wake = loop_must_wake_locked(loop, deadline);
    pthread_mutex_unlock(&loop->mutex);
    if (wake)
        loop_wake(loop);
}

void timer_cancel(struct timer *timer)
{
    struct loop *loop = timer->loop;

    if (!loop)
        return;
    pthread_mutex_lock(&loop->mutex);
    if (timer->slot)
        loop_heap_remove(loop, timer);
    pthread_mutex_unlock(&loop->mutex);
}

/* The earliest timer if it is due at `now`, still armed. */
static struct timer *loop_timer_due(struct loop *loop, u64 now)
{
    struct timer *timer = NULL;

    pthread_mutex_lock(&loop->mutex);
    if (loop->heap_count && loop->heap[1]->deadline <= now)
        timer = loop->heap[1];
    pthread_mutex_unlock(&loop->mutex);
    return timer;
}

/* With the owner's lock held: disarm `timer` if it is due still. */
static bool loop_timer_take(struct loop *loop, struct timer *timer, u64 now)
{
    bool due;

    pthread_mutex_lock(&loop->mutex);
    due = timer->slot && timer->deadline <= now;
    if (due)
        loop_heap_remove(loop, timer);
    pthread_mutex_unlock(&loop->mutex);
    return due;
}

static bool loop_timer_fire(struct loop *loop, struct timer *timer, u64 now)
{
    pthread_mutex_t *lock = timer->lock;
    bool due;

    if (lock)
        pthread_mutex_lock(lock);
    due = loop_timer_take(loop, timer, now);
    if (due)
        timer->fn(timer->arg);
    if (lock)
        pthread_mutex_unlock(lock);
    return due;
}

/*
 * Fire what is due, at most once per timer that was armed: one that re-arms itself in the past
 * waits its turn.
 */
static bool loop_run_timers(struct loop *loop)
{
    u64 now = clock_ns(loop->clock);
    bool ran = false;
    struct timer *timer;
    size_t left;

    pthread_mutex_lock(&loop->mutex);
    left = loop->heap_count;
    pthread_mutex_unlock(&loop->mutex);
    while (left-- && (timer = loop_timer_due(loop, now)))
        ran |= loop_timer_fire(loop, timer, now);
    return ran;
}

/* ---- Posted work ---- */

void loop_post(struct loop *loop, loop_fn *fn, void *arg)
{
    struct loop_work_list *list = &loop->posted;
    bool wake;

    pthread_mutex_lock(&loop->mutex);
    if (list->count == list->size)
        list->items = loop_grow(list->items, &list->size, LOOP_WORK_FIRST, sizeof(*list->items));
    list->items[list->count++] = (struct loop_work){ fn, arg };
    wake = loop_must_wake_locked(loop, 0);
    pthread_mutex_unlock(&loop->mutex);
    if (wake)
        loop_wake(loop);
}

/* Run what was posted until now; work that is posted meanwhile is for the next round. */
static bool loop_run_posted(struct loop *loop)
{
    struct loop_work_list list;

    pthread_mutex_lock(&loop->mutex);
    list = loop->posted;
    loop->posted = loop->running;
    loop->running = list;
    pthread_mutex_unlock(&loop->mutex);
    for (size_t i = 0; i < list.count; i++)
        list.items[i].fn(list.items[i].arg);
    loop->running.count = 0;
    return list.count > 0;
}

/* ---- Descriptors ---- */

struct loop_watch *loop_fd_add(struct loop *loop, int fd, u32 events, pthread_mutex_t *lock,
                               loop_fd_fn *fn, void *arg)
{
    struct loop_watch *watch = xcalloc(1, sizeof(*watch));
    struct epoll_event event = { .events = events, .data.ptr = watch };

    watch->loop = loop;
    watch->fd = fd;
    watch->lock = lock;
    watch->fn = fn;
    watch->arg = arg;
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
        free(watch);
        return NULL;
    }
    return watch;
}

void loop_fd_modify(struct loop_watch *watch, u32 events)
{
    struct epoll_event event = { .events = events, .data.ptr = watch };
    int r = epoll_ctl(watch->loop->epoll_fd, EPOLL_CTL_MOD, watch->fd, &event);

    assert(r == 0);
    (void)r;
}

void loop_fd_remove(struct loop_watch *watch)
{
    struct loop *loop;

    if (!watch)
        return;
    loop = watch->loop;
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
    pthread_mutex_lock(&loop->mutex);
    watch->dead = true;
    watch->next = loop->dead;
    loop->dead = watch;
    pthread_mutex_unlock(&loop->mutex);
}

static bool loop_watch_lives(struct loop_watch *watch)
{
    bool lives;

    pthread_mutex_lock(&watch->loop->mutex);
    lives = !watch->dead;
    pthread_mutex_unlock(&watch->loop->mutex);
    return lives;
}

static bool loop_watch_call(struct loop_watch *watch, u32 events)
{
    pthread_mutex_t *lock = watch->lock;
    bool lives;

    if (!loop_watch_lives(watch))
        return false;
    if (lock)
        pthread_mutex_lock(lock);
    lives = loop_watch_lives(watch);
    if (lives)
        watch->fn(watch->arg, events);
    if (lock)
        pthread_mutex_unlock(lock);
    return lives;
}

/* Between two rounds: no event that epoll has handed out refers to a removed watch any more. */
static void loop_free_dead(struct loop *loop)
{
    struct loop_watch *watch, *next;

    pthread_mutex_lock(&loop->mutex);
    watch = loop->dead;
    loop->dead = NULL;
    pthread_mutex_unlock(&loop->mutex);
    for (; watch; watch = next) {
        next = watch->next;
        free(watch);
    }
}

/* ---- Sleeping ---- */

static void loop_set_timer_fd(struct loop *loop, u64 deadline)
{
    struct itimerspec spec = { { 0, 0 }, { 0, 0 } };
    u64 now, left;

    if (deadline != LOOP_NEVER) {
        now = clock_ns(loop->clock);
        left = deadline > now ? deadline - now : 1;
        left = MIN(left, LOOP_SLEEP_MAX_S * LOOP_NS_PER_S);
        spec.it_value.tv_sec = (time_t)(left / LOOP_NS_PER_S);
        spec.it_value.tv_nsec = (long)(left % LOOP_NS_PER_S);
    }
    timerfd_settime(loop->timer_fd, 0, &spec, NULL);
    loop->timer_fd_deadline = deadline;
}

/*
 * Decide how long to sleep and say so to the other threads: 0 when there is something to do at
 * once.
 */
static int loop_sleep_begin(struct loop *loop, int timeout_ms)
{
    u64 earliest = LOOP_NEVER;

    pthread_mutex_lock(&loop->mutex);
    if (loop->posted.count || atomic_load(&loop->quit))
        timeout_ms = 0;
    if (loop->heap_count)
        earliest = loop->heap[1]->deadline;
    loop->sleep_until = timeout_ms ? earliest : 0;
    pthread_mutex_unlock(&loop->mutex);

    if (timeout_ms && earliest != LOOP_NEVER && earliest <= clock_ns(loop->clock))
        return 0;
    if (timeout_ms && earliest != loop->timer_fd_deadline)
        loop_set_timer_fd(loop, earliest);
    return timeout_ms;
}

static void loop_sleep_end(struct loop *loop)
{
    pthread_mutex_lock(&loop->mutex);
    loop->sleep_until = 0;
    pthread_mutex_unlock(&loop->mutex);
}

/* One round: sleep, then descriptors, timers, posted work. True when a callback ran. */
static bool loop_round(struct loop *loop, int timeout_ms)
{
    struct epoll_event events[LOOP_EVENTS];
    bool ran = false;
    int n;

    timeout_ms = loop_sleep_begin(loop, timeout_ms);
    n = epoll_wait(loop->epoll_fd, events, LOOP_EVENTS, timeout_ms);
    loop_sleep_end(loop);
    for (int i = 0; i < n; i++) {
        if (events[i].data.ptr == &loop->timer_fd)
            loop->timer_fd_deadline = LOOP_NEVER;
        else if (events[i].data.ptr != &loop->wake_fd)
            ran |= loop_watch_call(events[i].data.ptr, events[i].events);
    }
    ran |= loop_run_timers(loop);
    ran |= loop_run_posted(loop);
    loop_free_dead(loop);
    return ran;
}

static u64 loop_host_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (u64)ts.tv_sec * 1000 + (u64)ts.tv_nsec / LOOP_NS_PER_MS;
}

void loop_poll(struct loop *loop, int timeout_ms)
{
    u64 start = loop_host_ms();
    int left = timeout_ms;

    while (!loop_round(loop, left) && left && !atomic_load(&loop->quit)) {
        if (timeout_ms < 0)
            continue;
        left = timeout_ms - (int)MIN(loop_host_ms() - start, (u64)timeout_ms);
    }
}

void loop_run(struct loop *loop)
{
    while (!atomic_exchange(&loop->quit, false))
        loop_round(loop, -1);
}

void loop_quit(struct loop *loop)
{
    int saved = errno;

    atomic_store(&loop->quit, true);
    loop_wake(loop);
    errno = saved;
}

u64 loop_now(const struct loop *loop)
{
    return clock_ns(loop->clock);
}

/* ---- Life ---- */

/* Watch one of the loop's own descriptors; edge-triggered, so that it need not be read. */
static bool loop_watch_own(struct loop *loop, int *fd)
{
    struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.ptr = fd };

    return *fd >= 0 && epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, *fd, &event) == 0;
}

struct loop *loop_new(struct clock *clock, struct error *err)
{
    struct loop *loop = xcalloc(1, sizeof(*loop));

    loop->clock = clock;
    loop->timer_fd_deadline = LOOP_NEVER;
    pthread_mutex_init(&loop->mutex, NULL);
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->epoll_fd < 0 || !loop_watch_own(loop, &loop->timer_fd) ||
        !loop_watch_own(loop, &loop->wake_fd)) {
        error_set_errno(err, errno, "cannot set up the event loop");
        loop_free(loop);
        return NULL;
    }
    prctl(PR_SET_TIMERSLACK, 1ul, 0, 0, 0); /* threads that are made later inherit it */
    return loop;
}

static void loop_close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

void loop_free(struct loop *loop)
{
    if (!loop)
        return;
    loop_free_dead(loop);
    loop_close_fd(loop->wake_fd);
    loop_close_fd(loop->timer_fd);
    loop_close_fd(loop->epoll_fd);
    pthread_mutex_destroy(&loop->mutex);
    free(loop->heap);
    free(loop->posted.items);
    free(loop->running.items);
    free(loop);
}
