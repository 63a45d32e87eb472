/* What the C contenders and the peers share. */
#ifndef COMMON_H
#define COMMON_H

#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static inline void die(const char *what) {
  perror(what);
  exit(1);
}

/* For what is no system call's failure: the other end did not do as it should. */
static inline void wrong(const char *what) {
  fprintf(stderr, "%s\n", what);
  exit(1);
}

static inline double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + time.tv_nsec / 1e9;
}

static inline struct sockaddr_un address(const char *path) {
  struct sockaddr_un result = {.sun_family = AF_UNIX};
  strncpy(result.sun_path, path, sizeof result.sun_path - 1);
  return result;
}

static inline int listen_on(const char *path, int flags) {
  struct sockaddr_un to = address(path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
  if (fd < 0 || bind(fd, (struct sockaddr *)&to, sizeof to) != 0) die("bind");
  if (listen(fd, 4096) != 0) die("listen");
  return fd;
}

static inline int connect_to(const char *path) {
  struct sockaddr_un to = address(path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0) die("connect");
  return fd;
}

static inline void send_all(int fd, const char *data, size_t length) {
  for (size_t sent = 0; sent < length;) {
    ssize_t result = send(fd, data + sent, length - sent, MSG_NOSIGNAL);
    if (result < 0) die("send");
    sent += result;
  }
}

static inline void receive_all(int fd, char *into, size_t length) {
  for (size_t received = 0; received < length;) {
    ssize_t result = recv(fd, into + received, length - received, 0);
    if (result <= 0) die("recv");
    received += result;
  }
}

/* Tells whoever started this that it may go on. */
static inline void ready(void) {
  puts("ready");
  fflush(stdout);
}

#endif
