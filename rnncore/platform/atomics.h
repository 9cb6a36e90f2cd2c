/* Integers that several threads share, and waiting for one to change. */
#ifndef RNNCORE_ATOMICS_H
#define RNNCORE_ATOMICS_H

#include <stdint.h>

#if !defined(_WIN32)
#include <pthread.h>
#include <sched.h>
#include <time.h>
#define ATOMICS_INLINE static inline __attribute__((unused))
typedef int64_t shared_int;

ATOMICS_INLINE int64_t shared_read(const shared_int *a) { return __atomic_load_n(a, __ATOMIC_ACQUIRE); }
ATOMICS_INLINE void shared_write(shared_int *a, int64_t v) { __atomic_store_n(a, v, __ATOMIC_RELEASE); }
ATOMICS_INLINE void shared_add(shared_int *a, int64_t v) { __atomic_fetch_add(a, v, __ATOMIC_ACQ_REL); }
/* Where *a is `old`, make it `new` and return 1. */
ATOMICS_INLINE int shared_swap(shared_int *a, int64_t old, int64_t new_)
{
    return __atomic_compare_exchange_n(a, &old, new_, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}
ATOMICS_INLINE void yield_core(void) { sched_yield(); }
ATOMICS_INLINE void sleep_shortly(void)
{
    struct timespec shortly = {0, 50000};
    nanosleep(&shortly, 0);
}
ATOMICS_INLINE void pause_core(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#else /* Windows */
#include <intrin.h>
#include <windows.h>
#define ATOMICS_INLINE static inline
typedef volatile int64_t shared_int;

ATOMICS_INLINE int64_t shared_read(const shared_int *a) { return _InterlockedOr64((shared_int *)a, 0); }
ATOMICS_INLINE void shared_write(shared_int *a, int64_t v) { _InterlockedExchange64(a, v); }
ATOMICS_INLINE void shared_add(shared_int *a, int64_t v) { _InterlockedExchangeAdd64(a, v); }
ATOMICS_INLINE int shared_swap(shared_int *a, int64_t old, int64_t new_)
{
    return _InterlockedCompareExchange64(a, new_, old) == old;
}
ATOMICS_INLINE void yield_core(void) { SwitchToThread(); }
ATOMICS_INLINE void sleep_shortly(void) { Sleep(1); }
ATOMICS_INLINE void pause_core(void) { YieldProcessor(); }
#endif

/* How many threads use something just now, -1 for one that must be alone, together with the
   process that counted: a child of fork() inherits the count, but not the threads, and so starts
   from 0. */
static int32_t forks; /* between the process that loaded this and the one that runs it */

static void note_fork(void) { forks++; }
ATOMICS_INLINE void watch_forks(void)
{
#if defined(_WIN32)
    (void)note_fork;
#else
    pthread_atfork(0, 0, note_fork);
#endif
}
ATOMICS_INLINE int64_t users_of(int64_t count)
{
    return (int32_t)(count >> 32) == forks ? (int32_t)count : 0;
}
ATOMICS_INLINE int64_t count_of(int64_t users)
{
    return (int64_t)((uint64_t)(uint32_t)forks << 32 | (uint32_t)users);
}

/* To be called after the `looks`-th check in a row that found nothing: spins for some
   microseconds, then yields the core, and after some milliseconds sleeps between checks. */
ATOMICS_INLINE void look_again(int64_t looks)
{
    if (looks < 4000)
        pause_core();
    else if (looks < 20000)
        yield_core();
    else
        sleep_shortly();
}

#endif /* RNNCORE_ATOMICS_H */
