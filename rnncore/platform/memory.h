/* Memory for a call: aligned to cache lines, and large blocks to large pages, which the
   system then backs with few of: a tape of many megabytes would else spend more time on
   looking up pages than on being read. */
#ifndef RNNCORE_MEMORY_H
#define RNNCORE_MEMORY_H

#include <stdlib.h>
#include <stdint.h>
#include <string.h>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#define LARGE_PAGE ((size_t)2 << 20)

/* size bytes from *aligned on, of a block to be freed with free(); NULL if there are none. */
static inline void *aligned_block(size_t size, char **aligned)
{
    size_t alignment = size >= 2 * LARGE_PAGE ? LARGE_PAGE : 64;
    void *block = malloc(size + alignment);
    if (block == NULL) return NULL;
    *aligned = (char *)(((uintptr_t)block + alignment - 1) & ~(uintptr_t)(alignment - 1));
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (alignment == LARGE_PAGE)
        madvise(*aligned, size / LARGE_PAGE * LARGE_PAGE, MADV_HUGEPAGE);
#endif
    return block;
}

/* Of tape and buffers in one segment: half of a common second-level cache.  And beyond which a tape
   no longer fits a last-level cache, and is formed again instead of kept.  Builds that look for
   errors make both small: short sequences then have many segments. */
#ifndef SEGMENT_BYTES
#define SEGMENT_BYTES 524288
#define MOST_TAPE_BYTES 8388608
#endif

/* With RNN_POISON defined, memory handed out holds what is no number (NaN, or -1), so that whatever
   is read before it was written shows in the results. */
static inline void poison(void *memory, size_t size)
{
#ifdef RNN_POISON
    if (size) memset(memory, 0xFF, size);
#else
    (void)memory;
    (void)size;
#endif
}

#endif /* RNNCORE_MEMORY_H */
