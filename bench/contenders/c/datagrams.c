/* ROUNDS BATCH: datagrams of 64 bytes through a pair and out again, one by one (BATCH 1) or by
   sendmmsg and recvmmsg. Prints nanoseconds for each. */
#include "common.h"

#define SIZE 64
#define MOST 1024

static char data[SIZE], into[MOST][2048];
static struct mmsghdr out[MOST], in[MOST];
static struct iovec from[MOST], to[MOST];

static void one(int *pair) {
  if (send(pair[0], data, SIZE, MSG_NOSIGNAL) != SIZE) die("send");
  if (recv(pair[1], into[0], sizeof into[0], 0) != SIZE) wrong("Another length");
}

static void many(int *pair, int batch) {
  if (sendmmsg(pair[0], out, batch, MSG_NOSIGNAL) != batch) die("sendmmsg");
  if (recvmmsg(pair[1], in, batch, MSG_DONTWAIT, NULL) != batch) die("recvmmsg");
  if (in[0].msg_len != SIZE) wrong("Another length");
}

static void run(int *pair, long rounds, int batch) {
  if (batch == 1) for (long i = 0; i < rounds; i++) one(pair);
  else for (long i = 0; i < rounds; i += batch) many(pair, batch);
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  long rounds = atol(argv[1]);
  int batch = atoi(argv[2]), pair[2];
  if (batch > MOST || socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) != 0) die("socketpair");
  memset(data, 7, SIZE);
  for (int i = 0; i < batch; i++) {
    from[i] = (struct iovec){data, SIZE};
    to[i] = (struct iovec){into[i], sizeof into[i]};
    out[i].msg_hdr = (struct msghdr){.msg_iov = &from[i], .msg_iovlen = 1};
    in[i].msg_hdr = (struct msghdr){.msg_iov = &to[i], .msg_iovlen = 1};
  }
  run(pair, rounds / 2, batch);
  if (memcmp(into[0], data, SIZE) != 0) wrong("Other bytes");
  double begin = now();
  run(pair, rounds, batch);
  printf("%f\n", (now() - begin) * 1e9 / rounds);
  return 0;
}
