/* stamp FILE NAME VALUE: a program that tells when it began and then sleeps.
 *
 * It appends "NAME VALUE pid nanoseconds" (CLOCK_MONOTONIC, as time.perf_counter() on Linux) to FILE. */
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct timespec now;
    char line[256];
    int file, length;

    clock_gettime(CLOCK_MONOTONIC, &now);
    if (argc != 4 || (file = open(argv[1], O_WRONLY | O_CREAT | O_APPEND, 0600)) < 0)
        return 78;
    length = snprintf(line, sizeof line, "%s %s %d %lld\n", argv[2], argv[3], (int)getpid(),
                      now.tv_sec * 1000000000LL + now.tv_nsec);
    if (write(file, line, length) != length)
        return 1;
    close(file);
    for (;;)
        pause();
}
