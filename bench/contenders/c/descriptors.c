/* ROUNDS EACH: descriptors through a pair, EACH with every byte, closed on arrival. Prints how many
   a second. */
#include "common.h"

static char control[CMSG_SPACE(253 * sizeof(int))];

static void pass(int *pair, int *fds, int each) {
  char byte = 7;
  struct iovec io = {&byte, 1};
  struct msghdr out = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = control};
  out.msg_controllen = CMSG_SPACE(each * sizeof(int));
  struct cmsghdr *header = CMSG_FIRSTHDR(&out);
  *header = (struct cmsghdr){
      .cmsg_len = CMSG_LEN(each * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
  memcpy(CMSG_DATA(header), fds, each * sizeof(int));
  if (sendmsg(pair[0], &out, MSG_NOSIGNAL) != 1) die("sendmsg");

  struct msghdr in = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = control};
  in.msg_controllen = sizeof control;
  if (recvmsg(pair[1], &in, MSG_CMSG_CLOEXEC) != 1) die("recvmsg");
  header = CMSG_FIRSTHDR(&in);
  if (header == NULL || header->cmsg_len != CMSG_LEN(each * sizeof(int))) wrong("Too few arrived");
  int received[253];
  memcpy(received, CMSG_DATA(header), each * sizeof(int));
  for (int i = 0; i < each; i++) if (close(received[i]) != 0) die("close");
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  long rounds = atol(argv[1]);
  int each = atoi(argv[2]), pair[2], fds[253];
  if (each > 253 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) die("socketpair");
  for (int i = 0; i < each; i++) fds[i] = pair[0];
  for (long i = 0; i < rounds / 2; i += each) pass(pair, fds, each);
  double begin = now();
  for (long i = 0; i < rounds; i += each) pass(pair, fds, each);
  printf("%f\n", rounds / (now() - begin));
  return 0;
}
