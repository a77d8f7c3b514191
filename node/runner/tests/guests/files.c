// Uses every file function that a C program uses, and puts out how many things it checked. A wrong answer is said on standard
// error, and the exit status counts them.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include <poll.h>
#include <sched.h>

static int checked, wrong;

#define IS(what) do { checked++; if (!(what)) { wrong++; fprintf(stderr, "%d: not so: %s (errno %d)\n", __LINE__, #what, errno); } } while (0)
#define FAILS(what, with) do { errno = 0; long r_ = (long)(what); checked++; \
    if (r_ != -1 || errno != (with)) { wrong++; fprintf(stderr, "%d: %s gave %ld, errno %d, wanted %d\n", __LINE__, #what, r_, errno, (with)); } } while (0)

static void list(const char *dir, const char *wanted) {
    char names[1000] = "";
    DIR *d = opendir(dir);
    IS(d != NULL);
    if (d == NULL) return;
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        strcat(names, e->d_name);
        strcat(names, e->d_type == DT_DIR ? "/ " : " ");
    }
    closedir(d);
    checked++;
    if (strcmp(names, wanted) != 0) { wrong++; fprintf(stderr, "%s holds %s, wanted %s\n", dir, names, wanted); }
}

int main(void) {
    char buf[100];
    struct stat st;

    // What is given can be read and not be changed.
    int fd = open("artifacts/data.txt", O_RDONLY);
    IS(fd > 3);
    IS(read(fd, buf, 4) == 4 && memcmp(buf, "0123", 4) == 0);
    IS(lseek(fd, 2, SEEK_CUR) == 6);
    IS(read(fd, buf, 100) == 4 && memcmp(buf, "6789", 4) == 0);
    IS(read(fd, buf, 100) == 0);
    IS(lseek(fd, -3, SEEK_END) == 7);
    IS(pread(fd, buf, 3, 1) == 3 && memcmp(buf, "123", 3) == 0);
    IS(lseek(fd, 0, SEEK_CUR) == 7);
    FAILS(lseek(fd, -1, SEEK_SET), EINVAL);
    FAILS(write(fd, "x", 1), EBADF);
    IS(fstat(fd, &st) == 0 && st.st_size == 10 && S_ISREG(st.st_mode));
    IS(st.st_mtim.tv_sec == 946684800 && st.st_nlink == 1);
    IS(close(fd) == 0);
    FAILS(close(fd), EBADF);
    FAILS(open("artifacts/data.txt", O_RDWR), EROFS);
    FAILS(open("artifacts/data.txt", O_RDONLY | O_TRUNC), EROFS);
    FAILS(open("artifacts/new", O_WRONLY | O_CREAT, 0600), EROFS);
    FAILS(unlink("artifacts/data.txt"), EROFS);
    FAILS(rename("artifacts/data.txt", "out/stolen"), EROFS);
    FAILS(mkdir("artifacts/d", 0700), EROFS);
    FAILS(open("artifacts/nothing", O_RDONLY), ENOENT);
    FAILS(open("artifacts/data.txt/x", O_RDONLY), ENOTDIR);
    IS(stat("/artifacts/data.txt", &st) == 0 && st.st_size == 10);
    IS(stat("artifacts", &st) == 0 && S_ISDIR(st.st_mode));
    list("artifacts", "./ ../ data.txt empty ");
    list("/", "./ ../ artifacts/ out/ ");

    // What is left is written.
    FILE *f = fopen("out/a.txt", "w");
    IS(f != NULL);
    IS(fprintf(f, "%s", "hello, ") == 7 && fputs("world", f) >= 0 && fclose(f) == 0);
    f = fopen("out/a.txt", "a");
    IS(f != NULL && fputs("!", f) >= 0 && fclose(f) == 0);
    f = fopen("out/a.txt", "r+");
    IS(f != NULL && fseek(f, 5, SEEK_SET) == 0 && fputc(';', f) == ';' && fflush(f) == 0);
    rewind(f);
    IS(fgets(buf, sizeof buf, f) != NULL && strcmp(buf, "hello; world!") == 0);
    IS(fclose(f) == 0);
    fd = open("out/b", O_RDWR | O_CREAT | O_EXCL, 0600);
    IS(fd > 3);
    FAILS(open("out/b", O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
    IS(pwrite(fd, "xyz", 3, 5) == 3 && fstat(fd, &st) == 0 && st.st_size == 8);
    IS(read(fd, buf, 100) == 8 && memcmp(buf, "\0\0\0\0\0xyz", 8) == 0);
    struct iovec parts[2] = {{"12", 2}, {"345", 3}};
    IS(lseek(fd, 0, SEEK_SET) == 0 && writev(fd, parts, 2) == 5);
    IS(ftruncate(fd, 6) == 0 && fstat(fd, &st) == 0 && st.st_size == 6);
    IS(posix_fallocate(fd, 0, 9) == 0 && fstat(fd, &st) == 0 && st.st_size == 9);
    IS(fsync(fd) == 0 && fdatasync(fd) == 0 && posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL) == 0);
    IS(fcntl(fd, F_GETFL) == O_RDWR);
    IS(fcntl(fd, F_SETFL, O_APPEND) == 0 && lseek(fd, 0, SEEK_SET) == 0 && write(fd, "Z", 1) == 1);
    IS(pread(fd, buf, 100, 0) == 10 && memcmp(buf, "12345x\0\0\0Z", 10) == 0);
    IS(futimens(fd, NULL) == 0 && utimensat(AT_FDCWD, "out/b", NULL, 0) == 0);
    IS(rename("out/b", "out/c") == 0);
    FAILS(stat("out/b", &st), ENOENT);
    IS(unlink("out/c") == 0);
    // Without a name it lives as long as it is open.
    IS(fstat(fd, &st) == 0 && st.st_size == 10 && pread(fd, buf, 1, 0) == 1 && close(fd) == 0);
    f = fopen("out/d", "w");
    IS(f != NULL && fputs("of d", f) >= 0 && fclose(f) == 0);
    IS(rename("out/d", "out/a2") == 0 && access("out/a2", R_OK) == 0);
    list("out", "./ ../ a.txt a2 ");

    // There is nothing else, and no way there.
    FAILS(open("/etc/passwd", O_RDONLY), ENOENT);
    FAILS(open("../etc/passwd", O_RDONLY), ENOTCAPABLE);
    FAILS(open("out/../../etc/passwd", O_RDONLY), ENOTCAPABLE);
    FAILS(open("elsewhere", O_WRONLY | O_CREAT, 0600), EPERM);
    FAILS(open("out", O_WRONLY), EISDIR);
    FAILS(open("out/none/x", O_WRONLY | O_CREAT, 0600), ENOENT);
    FAILS(mkdir("out/d", 0700), EPERM);
    FAILS(mkdir("out", 0700), EEXIST);
    FAILS(rmdir("out/d"), ENOENT);
    FAILS(rmdir("out"), EACCES);
    FAILS(unlink("out"), EISDIR);
    FAILS(symlink("/etc/passwd", "out/link"), ENOTSUP);
    FAILS(link("out/a.txt", "out/link"), ENOTSUP);
    FAILS(readlink("out/a.txt", buf, sizeof buf), EINVAL);
    IS(stat("out/../artifacts/data.txt", &st) == 0 && st.st_size == 10);

    // The rest of what C asks a host for.
    FAILS(lseek(1, 0, SEEK_CUR), ESPIPE);
    IS(!isatty(0) && !isatty(1));
    struct pollfd p = {0, POLLRDNORM, 0};
    IS(poll(&p, 1, 1000) == 1 && p.revents == POLLRDNORM);
    IS(sched_yield() == 0 && usleep(1000000) == 0);
    char entropy[300];
    FAILS(getentropy(entropy, 300), EIO);

    if (wrong == 0) printf("{\"checked\":%d}\n", checked);
    return wrong;
}
