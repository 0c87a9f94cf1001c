/*
 * The sending end of every measurement, the same for all who are measured. The other end is sink.c.
 *
 *   generator send ADDRESS BYTES     sends, ends its direction, and wants the number back: prints the seconds
 *   generator through BYTES COMMAND… the same through the standard input and output of a command
 *   generator ping ADDRESS COUNT     64 bytes there and back: prints p50 and p99 in microseconds
 *
 * Anything but the right number of bytes is a failure.
 */
#include "wire.h"

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int dial(const char *address) {
  struct sockaddr_storage to;
  socklen_t length;
  int fd = open_socket(address, &to, &length);
  if (connect(fd, (struct sockaddr *)&to, length) < 0) err(1, "connect to %s", address);
  without_nagle(fd);
  return fd;
}

static void read_all(int fd, void *to, size_t count) {
  for (char *at = to; count > 0;) {
    ssize_t n = read(fd, at, count);
    if (n <= 0) errx(1, "read: %s", n == 0 ? "the end came early" : strerror(errno));
    at += n;
    count -= (size_t)n;
  }
}

static void send_bytes(int out, uint64_t bytes) {
  for (uint64_t left = bytes; left > 0;) {
    size_t n = left < BLOCK ? (size_t)left : BLOCK;
    write_all(out, block, n);
    left -= n;
  }
}

static void expect_count(int in, uint64_t sent) {
  uint64_t received = 0;
  read_all(in, &received, sizeof received);
  if (received != sent) errx(1, "sent %llu bytes, %llu arrived", (unsigned long long)sent, (unsigned long long)received);
}

static void send_to(const char *address, uint64_t bytes) {
  double start = now();
  int fd = dial(address);
  send_bytes(fd, bytes);
  shutdown(fd, SHUT_WR);
  expect_count(fd, bytes);
  printf("%.6f\n", now() - start);
}

static void send_through(uint64_t bytes, char **command) {
  int in[2], out[2], status;
  double start = now();
  if (pipe(in) < 0 || pipe(out) < 0) err(1, "pipe");
  pid_t child = fork();
  if (child < 0) err(1, "fork");
  if (child == 0) {
    dup2(in[0], 0);
    dup2(out[1], 1);
    for (int i = 0; i < 2; i++) close(in[i]), close(out[i]);
    execvp(command[0], command);
    err(127, "%s", command[0]);
  }
  close(in[0]);
  close(out[1]);
  send_bytes(in[1], bytes);
  close(in[1]);
  expect_count(out[0], bytes);
  printf("%.6f\n", now() - start);
  waitpid(child, &status, 0);
  if (status != 0) errx(1, "%s ended with %d", command[0], WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void ping(const char *address, size_t count) {
  double *times = calloc(count, sizeof *times);
  if (times == NULL || count == 0) errx(1, "how many?");
  int fd = dial(address);
  for (size_t i = 0; i < count + count / 10; i++) { /* the first tenth is for warming up */
    double start = now();
    write_all(fd, block, PING);
    read_all(fd, block, PING);
    if (i >= count / 10) times[i - count / 10] = now() - start;
  }
  qsort(times, count, sizeof *times, ascending);
  printf("%.2f %.2f\n", times[count / 2] * 1e6, times[count * 99 / 100] * 1e6);
}

int main(int argc, char **argv) {
  const char *what = argc > 1 ? argv[1] : "";
  uint64_t seed = 88172645463325252ull; /* bytes that nothing can compress */
  for (size_t i = 0; i < BLOCK; i += sizeof seed) {
    seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
    memcpy(block + i, &seed, sizeof seed);
  }
  signal(SIGPIPE, SIG_IGN);
  if (argc == 4 && strcmp(what, "send") == 0) send_to(argv[2], strtoull(argv[3], NULL, 10));
  else if (argc > 3 && strcmp(what, "through") == 0) send_through(strtoull(argv[2], NULL, 10), argv + 3);
  else if (argc == 4 && strcmp(what, "ping") == 0) ping(argv[2], strtoull(argv[3], NULL, 10));
  else errx(64, "usage: see the top of generator.c");
  return 0;
}
