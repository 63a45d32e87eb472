/* PATH WARM TOTAL: reads, and answers with the count when WARM bytes, then when TOTAL have come. */
#include "../contenders/c/common.h"

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  static char data[262144];
  int listener = listen_on(argv[1], 0);
  ready();
  for (;;) {
    int fd = accept(listener, NULL, NULL);
    if (fd < 0) die("accept");
    for (int part = 2; part < 4; part++) {
      unsigned long expected = atol(argv[part]), count = 0;
      ssize_t length = 1;
      while (count < expected && (length = recv(fd, data, sizeof data, 0)) > 0) count += length;
      if (length <= 0) break;
      send_all(fd, (char *)&count, sizeof count);
    }
    close(fd);
  }
}
