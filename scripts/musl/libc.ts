/** Which C library the programs of this machine run with. */

import { spawnSync } from "node:child_process";
import process from "node:process";

export interface LibcHere {
  name: "glibc" | "musl" | "another";
  version: string;
}

/** The C library that this process runs with. */
export function libc(): LibcHere {
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
  const glibc = header.glibcVersionRuntime;
  if (glibc !== undefined) return { name: "glibc", version: glibc };
  // The loader of musl, which `ldd` is, has no option for it: it says who it is, and fails.
  const { stdout, stderr } = spawnSync("ldd", ["--version"], { encoding: "utf8" });
  return libcOf(`${stdout ?? ""}\n${stderr ?? ""}`);
}

/** What `ldd --version` wrote, on either output, says. */
export function libcOf(written: string): LibcHere {
  if (!/^musl libc/m.test(written)) return { name: "another", version: "" };
  return { name: "musl", version: /^Version (\S+)/m.exec(written)?.[1] ?? "" };
}
