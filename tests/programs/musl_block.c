/*
 * Sends and receives messages in memory that the library laid out, as musl reads it.
 *
 *   musl_block CALL NAME ADDRESS COUNT SIZE SENT ROOM
 *
 * CALL is "many" (sendmmsg, recvmmsg) or "one" (sendmsg, recvmsg). The files SENT and ROOM each hold a
 * block whose pointers are right if it is at ADDRESS, or SIZE above that. COUNT messages go to a datagram socket bound
 * to the abstract name NAME; what came is written to ROOM. In the credentials of each the process puts
 * its own pid. Prints lines of a name and a value.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static long check(long result, const char *what) {
  if (result < 0) {
    perror(what);
    exit(1);
  }
  return result;
}

static long or_errno(long result) { return result < 0 ? -errno : result; }

/* A file's bytes at an address; changes of them are changes of the file. */
static struct mmsghdr *at(unsigned long address, const char *path) {
  int fd = check(open(path, O_RDWR), path);
  long size = check(lseek(fd, 0, SEEK_END), path);
  void *wanted = (void *) address;
  if (mmap(wanted, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) != wanted) {
    fprintf(stderr, "no room at %lx\n", address);
    exit(1);
  }
  close(fd);
  return wanted;
}

/* Walks the control messages by the macros and structs of musl. */
static void claim_own_pid(struct msghdr *message) {
  for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
    if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS &&
        c->cmsg_len == CMSG_LEN(sizeof(struct ucred))) {
      ((struct ucred *) CMSG_DATA(c))->pid = getpid();
    }
  }
}

/* What stands where musl has padding and the kernel the upper half of a length. */
static unsigned upper(const void *member) { return ((const unsigned *) member)[1]; }
static void dirty(void *member) { ((unsigned *) member)[1] = ~0u; }

int main(int argc, char **argv) {
  if (argc != 8) return 2;
  int many = strcmp(argv[1], "many") == 0;
  unsigned long base = strtoul(argv[3], NULL, 16);
  int count = atoi(argv[4]);
  struct mmsghdr *sent = at(base, argv[6]);
  struct mmsghdr *room = at(base + strtoul(argv[5], NULL, 16), argv[7]);

  struct sockaddr_un own = {.sun_family = AF_UNIX};
  size_t length = strlen(argv[2]);
  memcpy(own.sun_path + 1, argv[2], length);
  int to = check(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
  check(bind(to, (void *) &own, offsetof(struct sockaddr_un, sun_path) + 1 + length), "bind");
  check(setsockopt(to, SOL_SOCKET, SO_PASSCRED, &(int){1}, sizeof(int)), "SO_PASSCRED");
  int from = check(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");

  for (int i = 0; i < count; i++) {
    claim_own_pid(&sent[i].msg_hdr);
    /* Whatever was there before must not matter. */
    dirty(&sent[i].msg_hdr.msg_iovlen);
    dirty(&sent[i].msg_hdr.msg_controllen);
    dirty(&room[i].msg_hdr.msg_iovlen);
    dirty(&room[i].msg_hdr.msg_controllen);
  }
  printf("pid %d\n", getpid());
  int done = 0;
  while (done < count) {
    struct msghdr *next = &sent[done].msg_hdr;
    long result = many ? sendmmsg(from, sent + done, count - done, MSG_NOSIGNAL | MSG_DONTWAIT)
                       : sendmsg(from, next, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (result == -1 && errno == ENOMEM) {
      printf("refused %d\n", done);
      /* The kernel reads 8 bytes where musl has 4. */
      ((unsigned *) &next->msg_iovlen)[1] = ((unsigned *) &next->msg_controllen)[1] = 0;
      result = syscall(SYS_sendmsg, from, next, 0);
      check(result, "SYS_sendmsg");
      done++;
      continue;
    }
    check(result, "send");
    if (many) printf("sent %ld\n", result);
    done += many ? result : 1;
  }
  int got = 0;
  int flags = MSG_TRUNC | MSG_CMSG_CLOEXEC | MSG_DONTWAIT;
  if (many) {
    got = check(recvmmsg(to, room, count, flags, NULL), "recvmmsg");
  } else {
    for (; got < count; got++) {
      room[got].msg_len = check(recvmsg(to, &room[got].msg_hdr, flags), "recvmsg");
    }
  }
  printf("received %d\n", got);
  unsigned left = 0;
  for (int i = 0; i < got; i++) {
    left |= upper(&room[i].msg_hdr.msg_iovlen) | upper(&room[i].msg_hdr.msg_controllen);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&room[i].msg_hdr); c; c = CMSG_NXTHDR(&room[i].msg_hdr, c)) {
      left |= upper(&c->cmsg_len);
    }
  }
  printf("upper-halves %u\n", left);
  printf("empty %ld\n", or_errno(recvmmsg(to, room, 1, MSG_DONTWAIT, NULL)));
  printf("none %ld\n", or_errno(sendmmsg(from, sent, 0, 0)));
  return 0;
}
