// wine_cc.c: stands in Wine's PATH as gcc.exe, where no compiler for Windows runs: it hands its arguments to this
// machine's own cross compiler, waits for its end, and returns its exit status. Wine itself does not wait for a program
// of the host, so a shell writes the status into a file when that ends. As cl.exe and clang-cl.exe it translates the
// few options that build.bat uses, so that batch code runs too, not those compilers; what it was given stands in
// build\wine_cc.log.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

#define SCRIPT "build/wine_cc.sh"
#define STATUS "build/wine_cc.status"

// One argument as the shell and the host's files want it.
static void put_word(FILE *out, const char *word)
{
    fprintf(out, " '");
    for (; *word; word++) {
        if (*word == '\'')
            fprintf(out, "'\\''");
        else
            fputc(*word == '\\' ? '/' : *word, out);
    }
    fprintf(out, "'");
}

// cl's options in gcc's words; those that have none are left out.
static void put_option(FILE *out, const char *word)
{
    static const char *const pairs[][2] = {
        {"/std:c11", "-std=c11"},  {"/O2", "-O2"}, {"/Od", "-O0"}, {"/Zi", "-g"}, {"/W4", "-Wall"}, {"/MT", "-static"},
        {"ws2_32.lib", "-lws2_32"}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        if (strcmp(word, pairs[i][0]) == 0) word = pairs[i][1];
    if (strncmp(word, "/Fe:", 4) == 0) {
        put_word(out, "-o");
        put_word(out, word + 4);
    } else if (word[0] != '/')
        put_word(out, word);
}

int main(int argc, char **argv)
{
    const char *name = argv[0], *compiler = getenv("WINE_CC");
    char shell[] = "sh " SCRIPT;
    STARTUPINFOA start;
    PROCESS_INFORMATION process;
    FILE *file;
    int status = -1;
    for (const char *at = argv[0]; *at;)
        if (*at++ == '\\' || at[-1] == '/') name = at;

    file = fopen("build/wine_cc.log", "a");
    if (!file) return 1;
    fprintf(file, "%s", name);
    for (int i = 1; i < argc; i++) fprintf(file, " %s", argv[i]);
    fprintf(file, "\n");
    fclose(file);

    (void)remove(STATUS);
    file = fopen(SCRIPT, "wb");
    if (!file) return 1;
    fprintf(file, "%s", compiler ? compiler : "x86_64-w64-mingw32-gcc");
    for (int i = 1; i < argc; i++) {
        if (_strnicmp(name, "gcc", 3) == 0)
            put_word(file, argv[i]);
        else
            put_option(file, argv[i]);
    }
    fprintf(file, " >build/wine_cc.out 2>&1\necho $? >" STATUS ".new && mv " STATUS ".new " STATUS "\n");
    fclose(file);

    memset(&start, 0, sizeof start);
    start.cb = sizeof start;
    if (!CreateProcessA("\\\\?\\unix\\bin\\sh", shell, NULL, NULL, TRUE, 0, NULL, NULL, &start, &process)) {
        printf("wine_cc: cannot start the host's shell: %lu\n", GetLastError());
        return 1;
    }
    for (int i = 0; i < 3000 && status < 0; i++) { // 5 min; there is nothing else to wait for
        Sleep(100);
        file = fopen(STATUS, "rb");
        if (!file) continue;
        if (fscanf(file, "%d", &status) != 1) status = 1;
        fclose(file);
    }
    file = fopen("build/wine_cc.out", "rb");
    for (int c; file && (c = fgetc(file)) != EOF;) putchar(c);
    if (file) fclose(file);
    return status < 0 ? 1 : status;
}
