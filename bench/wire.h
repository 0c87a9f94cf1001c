/* What both ends of a measurement share. An ADDRESS is the path of a UNIX socket, or a port on 127.0.0.1. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 256 * 1024, PING = 64 };
static unsigned char block[BLOCK];

/* A socket of the address's family, and the address. */
static int open_socket(const char *text, struct sockaddr_storage *to, socklen_t *length) {
  memset(to, 0, sizeof *to);
  if (text[0] == '/') {
    struct sockaddr_un *un = (struct sockaddr_un *)to;
    if (strlen(text) >= sizeof un->sun_path) errx(1, "the path is too long: %s", text);
    un->sun_family = AF_UNIX;
    strcpy(un->sun_path, text);
    *length = sizeof *un;
  } else {
    struct sockaddr_in *in = (struct sockaddr_in *)to;
    in->sin_family = AF_INET;
    in->sin_port = htons((uint16_t)atoi(text));
    in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *length = sizeof *in;
  }
  int fd = socket(to->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) err(1, "socket");
  return fd;
}

static void without_nagle(int fd) {
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* fails on a UNIX socket, which has none */
}

static void write_all(int fd, const void *from, size_t count) {
  for (const char *at = from; count > 0;) {
    ssize_t n = write(fd, at, count);
    if (n < 0) err(1, "write, with %zu bytes to go", count);
    at += n;
    count -= (size_t)n;
  }
}
