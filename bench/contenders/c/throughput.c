/* PATH SIZE WARM TOTAL: writes to a sink that tells when it has read all. Prints MiB a second. */
#include "common.h"

static void transfer(int fd, char *data, size_t size, size_t total) {
  unsigned long counted;
  for (size_t sent = 0; sent < total; sent += size) send_all(fd, data, size);
  receive_all(fd, (char *)&counted, sizeof counted);
  if (counted != total) wrong("The sink counted otherwise");
}

int main(int argc, char **argv) {
  if (argc != 5) return 2;
  int fd = connect_to(argv[1]);
  size_t size = atol(argv[2]), warm = atol(argv[3]), total = atol(argv[4]);
  char *data = malloc(size);
  memset(data, 7, size); /* Memory that was never written would be one page of zeros. */
  transfer(fd, data, size, warm);
  double begin = now();
  transfer(fd, data, size, total);
  printf("%f\n", total / 1048576.0 / (now() - begin));
  return 0;
}
