/* PATH: connects, sends one byte and waits for it to come back. */
#include "common.h"

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  int fd = connect_to(argv[1]);
  char byte = 7;
  send_all(fd, &byte, 1);
  byte = 0;
  receive_all(fd, &byte, 1);
  if (byte != 7) wrong("The echo is another");
  puts("reply");
  return 0;
}
