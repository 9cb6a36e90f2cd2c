/* What the headers of the core offer, called once: the check `windows`. */
#include <stdio.h>

int main(void) {
    char *a;
    shared_int n = 1;
    void *block = aligned_block(1 << 23, &a);
    if (block == NULL) return 2;
    double begun = seconds_now();
    unsigned long long mode = flush_subnormals();
    vreal slope, tanh_half = vtanh(vset1((real)0.5), &slope);
    vstore((real *)a, tanh_half);
    restore_subnormals(mode);
    for (int i = 0; i < 20001; i++) look_again(i);
    shared_add(&n, 2);
    int bad = !(fabs((double)((real *)a)[LANES - 1] - 0.46211715726000975) < 1e-6)
        || shared_read(&n) != 3 || !shared_swap(&n, 3, 4) || seconds_now() < begun;
    printf("%d lanes, level %d, %s\n", LANES, x86_64_level(), bad ? "bad" : "good");
    free(block);
    return bad;
}
