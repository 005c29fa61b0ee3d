/* SPDX-License-Identifier: MIT */
/* Worker threads around one queue. The mutex protects the queue and the quit flag. */
#include "host/pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/types.h"

struct pool {
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    struct pool_job *first, **last;
    bool quit;
    unsigned thread_count;
    pthread_t threads[];
};

static struct pool_job *pool_take(struct pool *pool)
{
    struct pool_job *job;

    pthread_mutex_lock(&pool->mutex);
    while (!pool->first && !pool->quit)
        pthread_cond_wait(&pool->wake, &pool->mutex);
    job = pool->first;
    if (job) {
        pool->first = job->next;
        if (!pool->first)
            pool->last = &pool->first;
    }
    pthread_mutex_unlock(&pool->mutex);
    return job;
}

static void *pool_run(void *arg)
{
    struct pool *pool = arg;
    struct pool_job *job;

    while ((job = pool_take(pool)))
        job->work(job);
    return NULL;
}

void pool_submit(struct pool *pool, struct pool_job *job)
{
    job->next = NULL;
    pthread_mutex_lock(&pool->mutex);
    *pool->last = job;
    pool->last = &job->next;
    pthread_cond_signal(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
}

struct pool *pool_new(unsigned threads, struct error *err)
{
    struct pool *pool = xcalloc(1, sizeof(*pool) + threads * sizeof(pool->threads[0]));
    sigset_t all, before;
    int r = 0;

    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pool->last = &pool->first;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (!r && pool->thread_count < threads) {
        r = pthread_create(&pool->threads[pool->thread_count], NULL, pool_run, pool);
        pool->thread_count += !r;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!r)
        return pool;
    error_set_errno(err, r, "Could not start a worker thread");
    pool_free(pool);
    return NULL;
}

void pool_free(struct pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->mutex);
    pool->quit = true;
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
    for (unsigned i = 0; i < pool->thread_count; i++)
        pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->mutex);
    free(pool);
}
