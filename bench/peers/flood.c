/* PATH MOST: connects until the backlog is full, at most MOST times, and ends. Prints how often. */
#include "../contenders/c/common.h"

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  struct sockaddr_un to = address(argv[1]);
  long most = atol(argv[2]), count = 0;
  for (; count < most; count++) {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0) die("socket");
    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0) continue;
    if (errno != EAGAIN) die("connect");
    break;
  }
  printf("%ld\n", count);
  return 0;
}
