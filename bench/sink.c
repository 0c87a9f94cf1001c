/*
 * The receiving end of every measurement, the same for all who are measured.
 *
 *   sink count ADDRESS             counts what each connection sends, and answers with the number at its end
 *   sink count                     the same once, on standard input and output: a command for inetd and for exec:
 *   sink echo ADDRESS              sends back what comes
 *   sink inetd ADDRESS COMMAND…    gives each connection to a command as its standard input and output, as inetd does
 *
 * What listens prints its port (0 for a UNIX socket) once it does. Each connection has a process of its own.
 */
#include "wire.h"

/* Reads to the end, and answers with the number of bytes. */
static void count_bytes(int in, int out) {
  uint64_t total = 0;
  ssize_t n;
  while ((n = read(in, block, BLOCK)) > 0) total += (uint64_t)n;
  if (n < 0) err(1, "read");
  write_all(out, &total, sizeof total);
}

static void echo(int fd) {
  ssize_t n;
  while ((n = read(fd, block, BLOCK)) > 0) write_all(fd, block, (size_t)n);
}

static void run_on(int fd, char **command) {
  dup2(fd, 0);
  dup2(fd, 1);
  execvp(command[0], command);
  err(127, "%s", command[0]);
}

static int start_listening(const char *address) {
  struct sockaddr_storage at;
  socklen_t length;
  int listener = open_socket(address, &at, &length);
  if (bind(listener, (struct sockaddr *)&at, length) < 0 || listen(listener, 64) < 0) err(1, "listen on %s", address);
  getsockname(listener, (struct sockaddr *)&at, &length);
  printf("%d\n", at.ss_family == AF_INET ? ntohs(((struct sockaddr_in *)&at)->sin_port) : 0);
  fflush(stdout);
  return listener;
}

static void serve(const char *what, int fd, char **command) {
  without_nagle(fd);
  if (strcmp(what, "inetd") == 0) run_on(fd, command);
  else if (strcmp(what, "echo") == 0) echo(fd);
  else count_bytes(fd, fd);
}

int main(int argc, char **argv) {
  const char *what = argc > 1 ? argv[1] : "";
  if (argc == 2 && strcmp(what, "count") == 0) return count_bytes(0, 1), 0;
  int known = strcmp(what, "inetd") == 0 ? argc > 3 : argc == 3 && (strcmp(what, "count") == 0 || strcmp(what, "echo") == 0);
  if (!known) errx(64, "usage: see the top of sink.c");
  int listener = start_listening(argv[2]);
  signal(SIGCHLD, SIG_IGN);
  for (;;) {
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) err(1, "accept");
    if (fork() == 0) {
      serve(what, fd, argv + 3);
      exit(0);
    }
    close(fd);
  }
}
