import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { cmsg } from "../../ffi/mod.ts";
import { runC } from "../support/c_program.ts";
import { hex, int32s, LINUX, MACOS } from "../support/control_messages.ts";
import { unlessProgram } from "../support/mod.ts";

const { fullRoom, lengthOf, MAX_DESCRIPTORS, packControl, spaceFor } = cmsg;

/** What the C macros CMSG_LEN and CMSG_SPACE come to for a payload of so many bytes. */
const ARITHMETIC: [payload: number, linux: [number, number], macos: [number, number]][] = [
  [0, [16, 16], [12, 12]],
  [1, [17, 24], [13, 16]],
  [4, [20, 24], [16, 16]],
  [8, [24, 24], [20, 20]],
  [12, [28, 32], [24, 24]],
  [16, [32, 32], [28, 28]],
  [32, [48, 48], [44, 44]],
  [1012, [1028, 1032], [1024, 1024]],
  [1016, [1032, 1032], [1028, 1028]],
];

test("lengthOf() and spaceFor() are CMSG_LEN and CMSG_SPACE of Linux", () => {
  for (const [payload, [length, space]] of ARITHMETIC) {
    assertEquals(lengthOf(LINUX.abi, payload), length, `CMSG_LEN(${payload})`);
    assertEquals(spaceFor(LINUX.abi, payload), space, `CMSG_SPACE(${payload})`);
  }
});

test("lengthOf() and spaceFor() are CMSG_LEN and CMSG_SPACE of macOS", () => {
  for (const [payload, , [length, space]] of ARITHMETIC) {
    assertEquals(lengthOf(MACOS.abi, payload), length, `CMSG_LEN(${payload})`);
    assertEquals(spaceFor(MACOS.abi, payload), space, `CMSG_SPACE(${payload})`);
  }
});

test("lengthOf() and spaceFor() agree with Python's CMSG_LEN and CMSG_SPACE for 0 to 1,100 bytes", {
  skip: unlessProgram("python3"),
}, () => {
  const program = "import socket\n" +
    "print(*[f'{socket.CMSG_LEN(n)}:{socket.CMSG_SPACE(n)}' for n in range(1101)])";
  const printed = execFileSync("python3", ["-c", program], { encoding: "utf8" });
  const own = Array.from(
    { length: 1101 },
    (_, n) => `${lengthOf(LINUX.abi, n)}:${spaceFor(LINUX.abi, n)}`,
  );
  assertEquals(printed.trim(), own.join(" "));
});

test("fullRoom() holds credentials, a security context, a timestamp, a pidfd and the most descriptors", () => {
  assertEquals(MAX_DESCRIPTORS, 253);
  const [credentials, context, timestamp, pidfd, fds] = [32, 16 + 1024, 32, 24, 1032];
  assert(fullRoom(LINUX.abi) >= credentials + context + timestamp + pidfd + fds);
  assert(fullRoom(MACOS.abi) >= 28 + 12 + 4 * 254);
});

// packControl()

const SOME = { pid: 0x0102_0304, uid: 0x1112_1314, gid: 0x2122_2324 };
const LARGEST = { pid: 0x7fff_ffff, uid: 0xffff_fffe, gid: 0xffff_fffe };

/** The header of Linux in front of a payload: the length, SOL_SOCKET, the type. */
const linuxRights = (length: string) => `${length}00000000000000` + "01000000" + "01000000";
const linuxCredentials = "1c00000000000000" + "01000000" + "02000000";
const macosRights = (length: string) => `${length}000000` + "ffff0000" + "01000000";

test("packControl() writes nothing where there is nothing to send", () => {
  for (const { abi } of [LINUX, MACOS]) assertEquals(hex(packControl(abi, [], null)), "");
});

test("packControl() writes descriptors on Linux byte for byte, padded with zeros to 8", () => {
  const packed = (...fds: number[]) => hex(packControl(LINUX.abi, fds, null));
  assertEquals(packed(42), linuxRights("14") + "2a000000" + "00000000");
  assertEquals(packed(0), linuxRights("14") + "00000000" + "00000000");
  assertEquals(packed(1, 2), linuxRights("18") + "01000000" + "02000000");
  assertEquals(packed(3, 4, 5), linuxRights("1c") + "030000000400000005000000" + "00000000");
  assertEquals(packed(0x7fff_ffff, 0x102), linuxRights("18") + "ffffff7f" + "02010000");
  assertEquals(packed(5, 5), linuxRights("18") + "05000000" + "05000000");
});

test("packControl() writes descriptors on macOS byte for byte, without padding", () => {
  const packed = (...fds: number[]) => hex(packControl(MACOS.abi, fds, null));
  assertEquals(packed(42), macosRights("10") + "2a000000");
  assertEquals(packed(1, 2), macosRights("14") + "01000000" + "02000000");
  assertEquals(packed(3, 4, 0x7fff_ffff), macosRights("18") + "0300000004000000ffffff7f");
});

test("packControl() writes credentials byte for byte, with ids that fill 32 bits", () => {
  assertEquals(
    hex(packControl(LINUX.abi, [], SOME)),
    linuxCredentials + "04030201" + "14131211" + "24232221" + "00000000",
  );
  assertEquals(
    hex(packControl(LINUX.abi, [], LARGEST)),
    linuxCredentials + "ffffff7f" + "feffffff" + "feffffff" + "00000000",
  );
});

test("packControl() writes credentials before descriptors, each in a message of its own", () => {
  assertEquals(
    hex(packControl(LINUX.abi, [7, 8, 9], SOME)),
    linuxCredentials + "04030201" + "14131211" + "24232221" + "00000000" +
      linuxRights("1c") + "070000000800000009000000" + "00000000",
  );
});

test("packControl() writes 253 descriptors in their order", () => {
  const fds = Array.from({ length: 253 }, (_, i) => 1000 - i);
  const numbers = hex(int32s(...fds));
  assertEquals(
    hex(packControl(LINUX.abi, fds, null)),
    "0404000000000000" + "01000000" + "01000000" + numbers + "00000000",
  );
  assertEquals(hex(packControl(MACOS.abi, fds, null)), "00040000" + "ffff000001000000" + numbers);
});

test("packControl() gives memory of its own, whole, and leaves the array of descriptors", () => {
  const fds = [3, 4];
  const packed = packControl(LINUX.abi, fds, null);
  const again = packControl(LINUX.abi, fds, null);
  assertEquals([packed.byteOffset, packed.buffer.byteLength], [0, packed.length]);
  packed.fill(0xff);
  assertEquals(hex(again), linuxRights("18") + "03000000" + "04000000");
  assertEquals(fds, [3, 4]);
});

test("packControl() writes what a C program writes with the macros of its headers", {
  skip: unlessProgram("cc"),
}, async () => {
  // Prints a line for each number of descriptors, without and with credentials.
  const printed = await runC(`
    #define _GNU_SOURCE
    #include <stdio.h>
    #include <string.h>
    #include <sys/socket.h>
    int main(void) {
      for (int count = 0; count <= 253; count++) for (int with = 0; with < 2; with++) {
        char control[2048];
        memset(control, 0, sizeof control);
        struct msghdr header = { .msg_control = control };
        if (with) header.msg_controllen += CMSG_SPACE(sizeof(struct ucred));
        if (count) header.msg_controllen += CMSG_SPACE(sizeof(int) * count);
        struct cmsghdr *message = CMSG_FIRSTHDR(&header);
        if (with) {
          struct ucred credentials = { 4711, 1000, 4294967294u };
          message->cmsg_len = CMSG_LEN(sizeof credentials);
          message->cmsg_level = SOL_SOCKET;
          message->cmsg_type = SCM_CREDENTIALS;
          memcpy(CMSG_DATA(message), &credentials, sizeof credentials);
          message = CMSG_NXTHDR(&header, message);
        }
        if (count) {
          message->cmsg_len = CMSG_LEN(sizeof(int) * count);
          message->cmsg_level = SOL_SOCKET;
          message->cmsg_type = SCM_RIGHTS;
          for (int i = 0; i < count; i++) {
            int fd = i * 7919 + 3;
            memcpy(CMSG_DATA(message) + i * sizeof fd, &fd, sizeof fd);
          }
        }
        for (size_t i = 0; i < header.msg_controllen; i++) printf("%02x", (unsigned char)control[i]);
        printf("\\n");
      }
    }`);
  const lines = printed.split("\n");
  for (let count = 0; count <= 253; count++) {
    const fds = Array.from({ length: count }, (_, i) => i * 7919 + 3);
    const credentials = { pid: 4711, uid: 1000, gid: 4294967294 };
    assertEquals(hex(packControl(LINUX.abi, fds, null)), lines[2 * count], `${count}`);
    assertEquals(hex(packControl(LINUX.abi, fds, credentials)), lines[2 * count + 1], `${count}`);
  }
});
