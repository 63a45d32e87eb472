/* PATH ROUNDS: connects and closes, again and again. Prints how many a second. */
#include "common.h"

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  long rounds = atol(argv[2]);
  char greeting;
  int fd = connect_to(argv[1]);
  receive_all(fd, &greeting, 1);
  close(fd);
  for (long i = 0; i < rounds / 2; i++) close(connect_to(argv[1]));
  double begin = now();
  for (long i = 0; i < rounds; i++) close(connect_to(argv[1]));
  printf("%f\n", rounds / (now() - begin));
  return 0;
}
