/**
 * What a C compiler makes of the names in ffi/abi: the other opinion about each number.
 * @module
 */

import type { Abi, Layout } from "../../ffi/abi/mod.ts";
import { kernelLayouts } from "../../ffi/abi/linux.ts";
import { runC } from "./c_program.ts";

export type Values = Record<string, number>;

/** A layout under the names of the fixtures. */
export function flatten(struct: string, layout: Layout<string>): Values {
  const flat: Values = { [`sizeof(${struct})`]: layout.size };
  for (const [field, [offset, width]] of Object.entries(layout.fields)) {
    flat[`${struct}.${field}@`] = offset;
    flat[`${struct}.${field}#`] = width;
  }
  return flat;
}

/** Those of a target's layouts that exist there. */
export function layoutsOf(abi: Abi): [string, Layout<string>][] {
  return Object.entries(abi.layouts).filter((entry): entry is [string, Layout<string>] =>
    entry[1] !== null
  );
}

/** Constants that are no macros, and structs, by what tells that their header is there. */
const enumerators: Record<string, string> = {
  IOCB_CMD_POLL: "HAVE_AIO_ABI",
  IORING_OP_POLL_ADD: "HAVE_IO_URING",
  IORING_OP_POLL_REMOVE: "HAVE_IO_URING",
  IORING_OP_WRITE: "HAVE_IO_URING",
};
const ownHeader: Record<string, string> = {
  iocb: "HAVE_AIO_ABI",
  io_uring_params: "HAVE_IO_URING",
  io_uring_sqe: "HAVE_IO_URING",
  statx: "HAVE_STATX",
};

/** A program that prints each name with its value, where the headers of this machine have it. */
function valuesProgram(names: readonly string[], structs: Record<string, Layout<string>>): string {
  const lines = names.flatMap((name) => [
    name in enumerators ? `#if ${enumerators[name]}` : `#ifdef ${name}`,
    `  printf("${name} %lld\\n", (long long) (${name}));`,
    "#endif",
  ]);
  for (const [struct, { fields }] of Object.entries(structs)) {
    const guard = ownHeader[struct];
    if (guard !== undefined) lines.push(`#if ${guard}`);
    const show = (name: string, value: string) =>
      lines.push(`  printf("${name} %lld\\n", (long long) (${value}));`);
    show(`sizeof(${struct})`, `sizeof(struct ${struct})`);
    for (const field of Object.keys(fields)) {
      const member = `((struct ${struct} *) 0)->${field}`;
      show(`${struct}.${field}@`, `__builtin_offsetof(struct ${struct}, ${field})`);
      show(`${struct}.${field}#`, `sizeof(${member})`);
    }
    if (guard !== undefined) lines.push("#endif");
  }
  return `
    #define _GNU_SOURCE
    #include <errno.h>
    #include <fcntl.h>
    #include <poll.h>
    #include <stdio.h>
    #include <sys/epoll.h>
    #include <sys/eventfd.h>
    #include <sys/file.h>
    #include <sys/ioctl.h>
    #include <sys/mman.h>
    #include <sys/socket.h>
    #include <sys/stat.h>
    #include <sys/syscall.h>
    #include <sys/un.h>
    #include <unistd.h>
    #if __has_include(<linux/sockios.h>)
    #include <linux/sockios.h>
    #endif
    #if __has_include(<linux/un.h>)
    // Its struct is that of sys/un.h, which must not be defined twice.
    #define sockaddr_un kernel_sockaddr_un
    #include <linux/un.h>
    #undef sockaddr_un
    #endif
    #if __has_include(<linux/aio_abi.h>)
    #include <linux/aio_abi.h>
    #define HAVE_AIO_ABI 1
    #endif
    #if __has_include(<linux/io_uring.h>)
    #include <linux/io_uring.h>
    #define HAVE_IO_URING 1
    #endif
    // musl has it since 1.2.5.
    #ifdef STATX_BASIC_STATS
    #define HAVE_STATX 1
    #endif
    int main(void) {
      ${lines.join("\n")}
    #ifdef __GLIBC__
      printf("glibc 1\\n");
    #endif
      return 0;
    }`;
}

/**
 * Every constant, errno, system call number and struct member of a target, as the project has it and as
 * a compiler of this machine has it, where its headers do.
 */
export async function askCompiler(
  abi: Abi,
  compiler = "cc",
): Promise<{ ours: Values; told: Values }> {
  const structs = Object.fromEntries([...layoutsOf(abi), ...Object.entries(kernelLayouts)]);
  const ours: Values = { ...abi.constants, ...abi.linux, ...abi.errno };
  for (const [name, number] of Object.entries(abi.syscalls!)) ours[`SYS_${name}`] = number;
  const names = Object.keys(ours);
  for (const [struct, layout] of Object.entries(structs)) {
    Object.assign(ours, flatten(struct, layout));
  }
  const told: Values = {};
  const output = await runC(valuesProgram(names, structs), [], compiler);
  for (const line of output.trim().split("\n")) {
    const [name, value] = line.split(/ (?=-?\d+$)/);
    told[name!] = Number(value);
  }
  // The sign of a constant of 32 bits is a matter of its type in C.
  if (told.EPOLLET !== undefined) told.EPOLLET |= 0;
  return { ours, told };
}
