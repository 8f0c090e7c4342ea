/* hog: a process that fills one kind of memory and then waits for its end. Linked statically, for the guest.
 *
 *   hog [-n NAME] [-a ADJ] [-c CGROUP]... [-b NODE | -p NODE] [-w FILE] KIND MIB [ARGUMENT]
 *   hog kmsg             the kernel log's records since it was last cleared, as /dev/kmsg gives them
 *
 * -n comm; -a oom_score_adj (0 otherwise); -c cgroup folder to move to first; -b mbind() the memory to a NUMA
 * node; -p set_mempolicy() to it; -w begin when FILE exists. Kinds: see `kinds` below. What is filled is said by
 * the file /tmp/filled.NAME.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE 4096L
#define MIB (1L << 20)
#define MPOL_BIND 2

static int bind_node = -1;
static const char *argument;

static void fail(const char *what)
{
	fprintf(stderr, "hog: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		fail(path);
	close(fd);
}

static char *map(long bytes, int flags, int fd)
{
	char *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags | MAP_NORESERVE, fd, 0);

	if (at == MAP_FAILED)
		fail("mmap");
	if (bind_node >= 0) {
		unsigned long mask = 1UL << bind_node;

		if (syscall(SYS_mbind, at, bytes, MPOL_BIND, &mask, 64, 0))
			fail("mbind");
	}
	return at;
}

/* Process memory, a MiB at a time so that several hogs grow together. */
static void anon(long bytes)
{
	char *at = map(bytes, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	for (long done = 0; done < bytes; done += PAGE) {
		at[done] = 1;
		if (done % MIB == 0)
			usleep(500);
	}
}

static void shared(long bytes)
{
	memset(map(bytes, MAP_SHARED | MAP_ANONYMOUS, -1), 1, bytes);
}

/* Files written to ARGUMENT, a folder: page cache, or shared memory where it is tmpfs. */
static void files(long bytes)
{
	static char block[64 << 10];
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%d", argument, getpid());
	fd = open(path, O_CREAT | O_RDWR, 0600);
	for (long done = 0; done < bytes; done += sizeof(block))
		if (fd < 0 || write(fd, block, sizeof(block)) < 0)
			fail(path);
}

/* A file in the folder ARGUMENT, mapped and locked: its pages are dirty and cannot be dropped. */
static void dirty(long bytes)
{
	char path[256];
	char *at;
	int fd;

	snprintf(path, sizeof(path), "%s/%d", argument, getpid());
	fd = open(path, O_CREAT | O_RDWR, 0600);
	if (fd < 0 || ftruncate(fd, bytes))
		fail(path);
	at = map(bytes, MAP_SHARED, fd);
	if (mlock2(at, bytes, MLOCK_ONFAULT))
		fail("mlock2");
	for (long done = 0; done < bytes; done += PAGE)
		at[done] = 1;
}

/* The zero page at one address in 2 MiB: a page of page tables for each, and no memory of its own. */
static void tables(long bytes)
{
	long span = bytes / PAGE * 2 * MIB;
	char *at = map(span, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	volatile char sink;

	madvise(at, span, MADV_NOHUGEPAGE);
	for (long done = 0; done < span; done += 2 * MIB)
		sink = at[done];
	(void)sink;
}

static void unlimited_files(void)
{
	struct rlimit many = {1 << 20, 1 << 20};

	put("/proc/sys/fs/nr_open", "1048576");
	if (setrlimit(RLIMIT_NOFILE, &many))
		fail("setrlimit");
}

/* System V messages: kmalloc'ed and charged to the cgroup; they outlive the process (see clear_messages). */
static void messages(long bytes)
{
	static struct { long type; char text[4000]; } one = {.type = 1};
	int queue = -1;

	put("/proc/sys/kernel/msgmnb", "16000000");
	for (long done = 0; done < bytes; done += PAGE) {
		if (done % (8 * MIB) == 0 && (queue = msgget(IPC_PRIVATE, 0600)) < 0)
			fail("msgget");
		if (msgsnd(queue, &one, sizeof(one.text), 0))
			fail("msgsnd");
	}
}

/* Datagrams that are never read: slab of no cgroup, freed when the process ends. */
static void datagrams(long bytes)
{
	static char text[3500];
	int pair[2], size = 1 << 30;
	long each = 4 * MIB;

	unlimited_files();
	put("/proc/sys/net/unix/max_dgram_qlen", "1000000");
	for (long done = 0; done < bytes; done += each) {
		if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) ||
		    setsockopt(pair[0], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)))
			fail("socketpair");
		for (long sent = 0; sent < each; sent += PAGE)
			if (send(pair[0], text, sizeof(text), 0) < 0)
				fail("send");
	}
}

static int new_pipe(void)
{
	int pair[2];

	if (pipe(pair))
		fail("pipe");
	return pair[1];
}

/* Full pipes: pages that no counter of the whole machine shows. */
static void pipes(long bytes)
{
	static char text[64 << 10];

	unlimited_files();
	for (long done = 0; done < bytes; done += sizeof(text))
		if (write(new_pipe(), text, sizeof(text)) < 0)
			fail("write");
}

/* Pipes with 512 slots of 40 bytes: one request of order 3 for each, 32 KiB. All are opened first, so that
 * such requests are all that is left. */
static void rings(long bytes)
{
	long count = bytes / (32 << 10);
	int *ends = calloc(count, sizeof(*ends));

	unlimited_files();
	for (long at = 0; at < count; at++)
		ends[at] = new_pipe();
	for (long at = 0; at < count; at++)
		if (fcntl(ends[at], F_SETPIPE_SZ, 512 * PAGE) < 0 && errno != ENOMEM)
			fail("F_SETPIPE_SZ");
}

/* Two files in the folder ARGUMENT (a ramfs: never reclaimed, never moved), written a page each in turn; then one of
 * them is emptied: what is free lies in single pages. After that, rings() of twice the size. */
static void holes(long bytes)
{
	static char page[PAGE];
	char path[2][256];
	int fd[2];

	for (int at = 0; at < 2; at++) {
		snprintf(path[at], sizeof(path[at]), "%s/%d", argument, at);
		fd[at] = open(path[at], O_CREAT | O_RDWR, 0600);
	}
	for (long done = 0; done < bytes; done += 2 * PAGE)
		for (int at = 0; at < 2; at++)
			if (fd[at] < 0 || write(fd[at], page, PAGE) < 0)
				fail(path[at]);
	if (ftruncate(fd[1], 0))
		fail(path[1]);
	rings(2 * bytes);
}

static void nothing(long bytes)
{
	(void)bytes;
}

static const struct { const char *name; void (*fill)(long bytes); } kinds[] = {
	{"anon", anon}, {"shared", shared}, {"files", files}, {"dirty", dirty}, {"tables", tables},
	{"messages", messages}, {"datagrams", datagrams}, {"pipes", pipes}, {"rings", rings},
	{"holes", holes}, {"nothing", nothing},
};

static int kmsg(void)
{
	char record[8192];
	ssize_t length;
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);

	if (fd < 0)
		fail("/dev/kmsg");
	lseek(fd, 0, SEEK_DATA);
	while ((length = read(fd, record, sizeof(record))) >= 0 || errno == EPIPE)
		if (length > 0)
			fwrite(record, 1, length, stdout);
	return 0;
}

int main(int argc, char **argv)
{
	const char *name = "hog", *adj = "0", *wait_for = NULL;
	char pid[16], done[64];
	int option;

	if (argc == 2 && !strcmp(argv[1], "kmsg"))
		return kmsg();
	snprintf(pid, sizeof(pid), "%d", getpid());
	while ((option = getopt(argc, argv, "+n:a:c:b:p:w:")) != -1) {
		char path[512];
		unsigned long mask;

		switch (option) {
		case 'n': name = optarg; break;
		case 'a': adj = optarg; break;
		case 'b': bind_node = atoi(optarg); break;
		case 'w': wait_for = optarg; break;
		case 'c':
			snprintf(path, sizeof(path), "%s/cgroup.procs", optarg);
			put(path, pid);
			break;
		case 'p':
			mask = 1UL << atoi(optarg);
			if (syscall(SYS_set_mempolicy, MPOL_BIND, &mask, 64))
				fail("set_mempolicy");
			break;
		default: return 2;
		}
	}
	if (argc - optind < 2)
		return 2;
	argument = argv[optind + 2];
	prctl(PR_SET_NAME, name);
	put("/proc/self/oom_score_adj", adj);
	while (wait_for && access(wait_for, F_OK))
		usleep(1000);
	for (size_t at = 0; at < sizeof(kinds) / sizeof(*kinds); at++)
		if (!strcmp(kinds[at].name, argv[optind])) {
			kinds[at].fill(atol(argv[optind + 1]) * MIB);
			snprintf(done, sizeof(done), "/tmp/filled.%s", name);
			close(open(done, O_CREAT | O_WRONLY, 0600));
			pause();
		}
	return 2;
}
