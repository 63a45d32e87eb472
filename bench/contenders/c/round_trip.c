/* PATH SIZE ROUNDS: messages to an echo server and back. Prints microseconds for each. */
#include "common.h"

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  int fd = connect_to(argv[1]);
  size_t size = atol(argv[2]);
  long rounds = atol(argv[3]);
  char *data = malloc(size), *reply = malloc(size);
  for (size_t i = 0; i < size; i++) data[i] = i;
  for (long i = 0; i < rounds / 2; i++) {
    send_all(fd, data, size);
    receive_all(fd, reply, size);
    if (memcmp(data, reply, size) != 0) wrong("The echo is another");
  }
  double begin = now();
  for (long i = 0; i < rounds; i++) {
    send_all(fd, data, size);
    receive_all(fd, reply, size);
  }
  printf("%f\n", (now() - begin) * 1e6 / rounds);
  return 0;
}
