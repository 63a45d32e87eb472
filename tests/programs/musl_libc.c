/* Asks musl what the library relies on. Prints lines of a name and a value. Arguments: names of functions. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The most descriptors of one message; with credentials before them they take 1064 bytes. */
enum { FDS = 253, ROOM = 2048 };

static char control[ROOM] __attribute__((aligned(16)));

/* Control messages of so many bytes: credentials, where asked for, and descriptors. */
static size_t fill(int credentials, int fds) {
  size_t used = 0;
  memset(control, 0, sizeof control);
  if (credentials) {
    struct cmsghdr *header = (void *) control;
    struct ucred own = {getpid(), getuid(), getgid()};
    header->cmsg_len = CMSG_LEN(sizeof own);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_CREDENTIALS;
    memcpy(CMSG_DATA(header), &own, sizeof own);
    used += CMSG_SPACE(sizeof own);
  }
  struct cmsghdr *header = (void *) (control + used);
  header->cmsg_len = CMSG_LEN(fds * sizeof(int));
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  for (int i = 0; i < fds; i++) ((int *) CMSG_DATA(header))[i] = 0;
  return used + CMSG_SPACE(fds * sizeof(int));
}

/* What came of sending: how many bytes, or the negated errno. */
static long try(int past_libc, size_t length) {
  int ends[2];
  char byte = 'x';
  struct iovec part = {&byte, 1};
  struct msghdr message = {0};
  if (socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) != 0) return -errno;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = length;
  long sent = past_libc ? syscall(SYS_sendmsg, ends[0], &message, 0) : sendmsg(ends[0], &message, 0);
  long result = sent == -1 ? -errno : sent;
  close(ends[0]);
  close(ends[1]);
  return result;
}

int main(int count, char **names) {
  void *by_glibc_name = dlopen("libc.so.6", RTLD_NOW);
  printf("opens-as-glibc %d\n", by_glibc_name != NULL);
  for (int i = 1; i < count; i++) {
    if (by_glibc_name && !dlsym(by_glibc_name, names[i])) printf("missing-%s 1\n", names[i]);
  }
  printf("descriptors %ld\n", try(0, fill(0, FDS)));
  printf("with-credentials %ld\n", try(0, fill(1, FDS)));
  printf("past-libc %ld\n", try(1, fill(1, FDS)));
  fill(1, FDS);
  printf("room-1024 %ld\n", try(0, 1024));
  printf("room-1057 %ld\n", try(0, 1057));
  return 0;
}
