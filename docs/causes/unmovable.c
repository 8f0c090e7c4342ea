/* For a virtual machine only: takes kernel memory that cannot be moved, in pipes.
 *
 *   cc -static -o unmovable unmovable.c
 *   unmovable fill        pipes until the kernel kills: fills the zones that unmovable pages may use
 *   unmovable holes       pages taken in pairs and every other one given back, then blocks of four pages
 *                         asked for: free memory in plenty, none of it in one piece
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/filter.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PIPES = 16000, KEEP_FREE_KIB = 24 * 1024, FILTER = 2040 };
static int pipes[PIPES][2];
static char page[4096];

static long free_kib(void)
{
    char line[200];
    long kib = 0;
    FILE *file = fopen("/proc/meminfo", "r");
    while (file && fgets(line, sizeof line, file) && sscanf(line, "MemFree: %ld", &kib) != 1)
        ;
    if (file)
        fclose(file);
    return kib;
}

static int open_pipe(int n)
{
    if (pipe(pipes[n]))
        return 0;
    fcntl(pipes[n][1], F_SETPIPE_SZ, 1 << 20);
    return fcntl(pipes[n][1], F_SETFL, O_NONBLOCK) == 0;
}

static int put_page(int n) { return write(pipes[n][1], page, sizeof page) > 0; }

int main(int argc, char **argv)
{
    struct rlimit many = {100000, 100000};
    int n = 0;
    setrlimit(RLIMIT_NOFILE, &many);
    if (argc > 1 && !strcmp(argv[1], "fill")) {
        for (; n < PIPES && open_pipe(n); n++)
            while (put_page(n))
                ;
        pause();
    } else if (argc > 1 && !strcmp(argv[1], "holes")) {
        for (; n + 1 < PIPES && free_kib() > KEEP_FREE_KIB && open_pipe(n) && open_pipe(n + 1); n += 2)
            while (put_page(n) && put_page(n + 1))
                ;
        for (int at = 0; at < n; at += 2) {
            close(pipes[at][0]);
            close(pipes[at][1]);
        }
        /* The kernel keeps a copy of each socket's filter: 16 KiB with kmalloc(), an order-2 block. */
        static struct sock_filter code[FILTER];
        for (int at = 0; at < FILTER - 1; at++)
            code[at] = (struct sock_filter){BPF_LD | BPF_IMM, 0, 0, at};
        code[FILTER - 1] = (struct sock_filter){BPF_RET | BPF_K, 0, 0, 1};
        struct sock_fprog program = {FILTER, code};
        for (int one; (one = socket(AF_UNIX, SOCK_DGRAM, 0)) >= 0;)
            if (setsockopt(one, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program))
                break;
        pause();
    } else {
        fprintf(stderr, "unmovable fill|holes\n");
        return 2;
    }
    return 0;
}
