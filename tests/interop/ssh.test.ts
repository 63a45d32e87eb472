import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { UnixListener } from "../../mod.ts";
import { acceptFrom, Peer } from "../support/interop.ts";
import {
  bytes,
  commandFor,
  readText,
  RUNTIME,
  unlessProgram,
  withTempSocketPath,
} from "../support/mod.ts";
import { program } from "../support/streams.ts";

test(
  "O248 UnixStream.sendMessage() passes ssh the connection that its ProxyCommand made",
  { skip: unlessProgram("ssh") },
  async () => {
    await withTempSocketPath(async (path) => {
      using listener = UnixListener.listen(path);
      const command = [...commandFor(RUNTIME, program("proxy_command.ts")), path].join(" ");
      const flags = ["ProxyUseFdpass=yes", "BatchMode=yes", `ProxyCommand=${command}`];
      await using ssh = new Peer([
        ...["ssh", "-F", "none", ...flags.flatMap((flag) => ["-o", flag])],
        "host.invalid",
      ]);
      using stream = await acceptFrom(ssh, listener);
      const greeting = await readText(stream);
      assert(greeting?.startsWith("SSH-2.0-"), `${greeting}`);
      // The program that connected has ended or will: what speaks here is ssh alone.
      await stream.writeAll(bytes("SSH-1.0-afunix\r\n"));
      const { code, stderr } = await ssh.finished;
      assertEquals(code, 255);
      assert(stderr.includes("Protocol major versions differ"), stderr);
    });
  },
);
