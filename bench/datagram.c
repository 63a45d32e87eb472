/* One datagram of 64 bytes through a pair and out again, over and over. Prints ns for each. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

int main(int argc, char **argv) {
  int rounds = atoi(argv[1]), pair[2];
  char data[64] = {0}, into[2048];
  struct timespec begin, end;
  if (argc < 2 || socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) != 0) return 1;
  for (int i = 0; i < rounds / 10; i++) {
    send(pair[0], data, sizeof data, MSG_NOSIGNAL);
    recv(pair[1], into, sizeof into, 0);
  }
  clock_gettime(CLOCK_MONOTONIC, &begin);
  for (int i = 0; i < rounds; i++) {
    send(pair[0], data, sizeof data, MSG_NOSIGNAL);
    if (recv(pair[1], into, sizeof into, 0) != sizeof data) return 1;
  }
  clock_gettime(CLOCK_MONOTONIC, &end);
  double ns = (end.tv_sec - begin.tv_sec) * 1e9 + (end.tv_nsec - begin.tv_nsec);
  printf("%f\n", ns / rounds);
  return 0;
}
