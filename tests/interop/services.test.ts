import { statSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import process from "node:process";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { abstract, type AddressLike, UnixListener, UnixStream } from "../../mod.ts";
import { digest, freshName, joined, pattern, Peer, readExactly } from "../support/interop.ts";
import { bytes, readToEnd, settled, text, unlessProgram, withTempDir } from "../support/mod.ts";

/** Reads a line that ends in CR LF, and returns it without. */
async function readLine(stream: UnixStream): Promise<string> {
  const line: number[] = [];
  while (line.at(-1) !== 10) line.push((await readExactly(stream, 1))[0] ?? 10);
  return text(Uint8Array.from(line)).trimEnd();
}

/** Sends a line and reads the answer's. */
async function ask(stream: UnixStream, line: string): Promise<string> {
  await stream.writeAll(bytes(`${line}\r\n`));
  return await readLine(stream);
}

// redis-server

const redis = { skip: unlessProgram("redis-server") };

async function withRedis(body: (path: string) => Promise<void>): Promise<void> {
  await withTempDir(async (directory) => {
    const path = join(directory, "redis.sock");
    await using server = new Peer([
      ...["redis-server", "--port", "0", "--unixsocket", path, "--unixsocketperm", "700"],
      ...["--save", "", "--appendonly", "no", "--dir", directory],
    ]);
    await server.waitFor(/ready to accept connections/i);
    await body(path);
    server.kill("SIGTERM");
    assertEquals((await server.finished).code, 0);
  });
}

test("O248 UnixStream asks redis-server inline, and reads the end after QUIT", redis, async () => {
  await withRedis(async (path) => {
    assertEquals(statSync(path).mode & 0o777, 0o700);
    using stream = await UnixStream.connect(path);
    assertEquals(await ask(stream, "PING"), "+PONG");
    assertEquals(await ask(stream, "SET greeting hello"), "+OK");
    assertEquals(await ask(stream, "GET greeting"), "$5");
    assertEquals(await readLine(stream), "hello");
    assertEquals(await ask(stream, "QUIT"), "+OK");
    assertEquals((await readToEnd(stream)).length, 0);
  });
});

test("O248 UnixStream stores 5 MiB in redis-server and gets the same back", redis, async () => {
  await withRedis(async (path) => {
    using stream = await UnixStream.connect(path);
    const value = pattern(5 << 20);
    const head = `*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$${value.length}\r\n`;
    await stream.writeAll(joined(head, value, "\r\n"));
    assertEquals(await readLine(stream), "+OK");
    assertEquals(await ask(stream, "GET big"), `$${value.length}`);
    assertEquals(digest(await readExactly(stream, value.length)), digest(value));
    assertEquals(text(await readExactly(stream, 2)), "\r\n");
  });
});

test(
  "O248 UnixStream pipelines 20,000 commands to redis-server, answered in order",
  redis,
  async () => {
    await withRedis(async (path) => {
      using stream = await UnixStream.connect(path);
      const count = 20_000;
      const expected = Array.from({ length: count }, (_, index) => `:${index + 1}\r\n`).join("");
      const sending = stream.writeAll(bytes("INCR counter\r\n".repeat(count)));
      const [answers] = await Promise.all([readExactly(stream, expected.length), sending]);
      assert(text(answers) === expected, "the answers are in another order");
    });
  },
);

test(
  "O248 UnixStream.read() waits for what another UnixStream makes redis-server publish",
  redis,
  async () => {
    await withRedis(async (path) => {
      using subscriber = await UnixStream.connect(path);
      using publisher = await UnixStream.connect(path);
      const confirmation = "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n";
      await subscriber.writeAll(bytes("SUBSCRIBE news\r\n"));
      assertEquals(text(await readExactly(subscriber, confirmation.length)), confirmation);
      const message = "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\nhello\r\n";
      const waiting = readExactly(subscriber, message.length);
      await settled();
      assertEquals(await ask(publisher, "PUBLISH news hello"), ":1");
      assertEquals(text(await waiting), message);
    });
  },
);

test(
  "O248 UnixListener between redis-cli and redis-server passes everything on through web streams",
  { skip: unlessProgram("redis-cli") || redis.skip },
  async () => {
    await withRedis(async (path) => {
      const front = `${path}.front`;
      using listener = UnixListener.listen(front);
      await using client = new Peer(["redis-cli", "-s", front]);
      client.write("SET key value\nGET key\nECHO bye\n");
      client.closeStdin();
      const [near, far] = [await listener.accept(), await UnixStream.connect(path)];
      await Promise.all([
        near.readable.pipeTo(far.writable),
        far.readable.pipeTo(near.writable),
      ]);
      assertEquals([near.closed, far.closed], [true, true]);
      assertEquals(await client.succeeded(), "OK\nvalue\nbye\n");
    });
  },
);

// dbus-daemon

const dbus = { skip: unlessProgram("dbus-daemon") };

async function withBus(
  body: (path: string, name: string, pid: number) => Promise<void>,
): Promise<void> {
  await withTempDir(async (directory) => {
    const [path, name, config] = [join(directory, "bus"), freshName(), join(directory, "conf")];
    writeFileSync(
      config,
      `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
        "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
      <busconfig>
        <listen>unix:path=${path}</listen>
        <listen>unix:abstract=${name}</listen>
        <auth>EXTERNAL</auth>
        <policy context="default"><allow send_destination="*" eavesdrop="true"/>
          <allow eavesdrop="true"/><allow own="*"/></policy>
      </busconfig>`,
    );
    await using daemon = new Peer([
      ...["dbus-daemon", `--config-file=${config}`, "--nofork", "--print-address"],
    ]);
    assertStringIncludes(await daemon.line(), path);
    await body(path, name, daemon.pid);
  });
}

/** Authenticates as a user, after the NUL byte that the protocol begins with; the answer. */
async function authenticate(stream: UnixStream, uid: number): Promise<string> {
  await stream.writeAll(new Uint8Array(1));
  const digits = Array.from(String(uid), (digit) => digit.charCodeAt(0).toString(16)).join("");
  return await ask(stream, `AUTH EXTERNAL ${digits}`);
}

const buses: [kind: string, address: (path: string, name: string) => AddressLike][] = [
  ["a path", (path) => path],
  ["an abstract name", (_path, name) => abstract(name)],
];

for (const [kind, address] of buses) {
  test(`H164 dbus-daemon at ${kind} knows a UnixStream by its user`, dbus, async () => {
    await withBus(async (path, name) => {
      using stream = await UnixStream.connect(address(path, name));
      assertMatch(await authenticate(stream, process.geteuid!()), /^OK [0-9a-f]{32}$/);
      assertEquals(await ask(stream, "NEGOTIATE_UNIX_FD"), "AGREE_UNIX_FD");
    });
  });
}

test("H164 dbus-daemon rejects a UnixStream that claims to be another user", dbus, async () => {
  await withBus(async (path) => {
    using stream = await UnixStream.connect(path);
    const another = process.geteuid!() === 0 ? 65534 : 0;
    assertEquals(await authenticate(stream, another), "REJECTED EXTERNAL");
  });
});

test("H164 UnixStream.peerCredentials() of dbus-daemon is its process", dbus, async () => {
  await withBus(async (path, _name, pid) => {
    using stream = await UnixStream.connect(path);
    const [uid, gid] = [process.geteuid!(), process.getegid!()];
    assertEquals(stream.peerCredentials(), { pid, uid, gid });
  });
});

// ssh-agent: messages with their length before them, as 32 bits, the highest byte first.

const REQUEST_IDENTITIES = [0, 0, 0, 1, 11];
const NO_IDENTITIES = [0, 0, 0, 5, 12, 0, 0, 0, 0];
const FAILURE = [0, 0, 0, 1, 5];

test("O248 UnixStream asks ssh-agent for its identities, message by message", {
  skip: unlessProgram("ssh-agent"),
}, async () => {
  await withTempDir(async (directory) => {
    const path = join(directory, "agent.sock");
    await using agent = new Peer(["ssh-agent", "-D", "-a", path]);
    assertStringIncludes(await agent.line(), path);
    assertEquals(statSync(path).mode & 0o777, 0o600);
    using stream = await UnixStream.connect(path);
    await stream.writeAll(joined(REQUEST_IDENTITIES));
    assertEquals([...await readExactly(stream, 9)], NO_IDENTITIES);
    // In two parts, and the second with another message: the agent puts them together.
    await stream.writeAll(joined(REQUEST_IDENTITIES.slice(0, 3)));
    await stream.writeAll(joined(REQUEST_IDENTITIES.slice(3), REQUEST_IDENTITIES));
    assertEquals([...await readExactly(stream, 18)], [...NO_IDENTITIES, ...NO_IDENTITIES]);
  });
});

test("O248 UnixListener answers ssh-add as an agent", {
  skip: unlessProgram("ssh-add"),
}, async () => {
  await withTempDir(async (directory) => {
    const path = join(directory, "agent.sock");
    using listener = UnixListener.listen(path, { mode: 0o600 });
    await using client = new Peer(["ssh-add", "-l"], { env: { SSH_AUTH_SOCK: path } });
    using stream = await listener.accept();
    assertEquals(stream.peerCredentials()?.pid, client.pid);
    for (;;) {
      const head = await readExactly(stream, 4);
      if (head.length < 4) break;
      const request = await readExactly(stream, new DataView(head.buffer).getUint32(0));
      await stream.writeAll(joined(request[0] === 11 ? NO_IDENTITIES : FAILURE));
    }
    const { code, stdout } = await client.finished;
    assertEquals({ code, stdout }, { code: 1, stdout: "The agent has no identities.\n" });
  });
});

// nginx

const nginx = { skip: unlessProgram("nginx") };

async function withNginx(body: (front: string, back: string) => Promise<void>): Promise<void> {
  await withTempDir(async (directory) => {
    const at = (name: string) => join(directory, name);
    writeFileSync(
      at("conf"),
      `daemon off; master_process off; pid ${at("pid")}; error_log stderr notice;
      events {}
      http {
        access_log off;
        client_max_body_size 16m;
        client_body_temp_path ${at("body")}; proxy_temp_path ${at("proxy")};
        fastcgi_temp_path ${at("f")}; uwsgi_temp_path ${at("u")}; scgi_temp_path ${at("s")};
        server {
          listen unix:${at("front")};
          location / { return 200 "served $request_uri"; }
          location /back/ { proxy_pass http://unix:${at("back")}:/; }
        }
      }`,
    );
    await using server = new Peer(["nginx", "-p", directory, "-c", at("conf"), "-e", "stderr"]);
    await server.waitFor("event method", "stderr");
    await body(at("front"), at("back"));
    server.kill("SIGTERM");
    await server.finished;
  });
}

/** Reads a head of HTTP/1.1 and as many bytes as it announces. */
async function readHttp(stream: UnixStream): Promise<{ first: string; body: Uint8Array }> {
  const first = await readLine(stream);
  let length = 0;
  for (let line; (line = await readLine(stream)) !== "";) {
    const announced = /^content-length: (\d+)$/i.exec(line);
    if (announced) length = Number(announced[1]);
  }
  return { first, body: await readExactly(stream, length) };
}

test("O248 UnixStream gets two pages from nginx over one connection", nginx, async () => {
  await withNginx(async (front) => {
    using stream = await UnixStream.connect(front);
    for (const page of ["/one", "/two"]) {
      await stream.writeAll(bytes(`GET ${page} HTTP/1.1\r\nHost: localhost\r\n\r\n`));
      const { first, body } = await readHttp(stream);
      assertEquals([first, text(body)], ["HTTP/1.1 200 OK", `served ${page}`]);
    }
    await stream.writeAll(
      bytes("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
    );
    assertStringIncludes(text(await readToEnd(stream)), "served /");
  });
});

test(
  "O248 UnixListener is an upstream of nginx, for 3 MiB there and 3 MiB back",
  nginx,
  async () => {
    await withNginx(async (front, back) => {
      using listener = UnixListener.listen(back);
      const [upload, download] = [pattern(3 << 20, 1), pattern(3 << 20, 2)];
      const serving = (async () => {
        using stream = await listener.accept();
        const { first, body } = await readHttp(stream);
        const head = `HTTP/1.0 200 OK\r\nContent-Length: ${download.length}\r\n\r\n`;
        await stream.writeAll(joined(head, download));
        return { first, body };
      })();
      using stream = await UnixStream.connect(front);
      const head =
        `POST /back/data HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${upload.length}\r\n\r\n`;
      await stream.writeAll(joined(head, upload));
      const answer = await readHttp(stream);
      assertEquals(answer.first, "HTTP/1.1 200 OK");
      assertEquals(digest(answer.body), digest(download));
      const request = await serving;
      assertEquals(request.first, "POST /data HTTP/1.0");
      assertEquals(digest(request.body), digest(upload));
    });
  },
);

test(
  "O248 UnixStream learns from nginx that its upstream's UnixListener is closed",
  nginx,
  async () => {
    await withNginx(async (front, back) => {
      UnixListener.listen(back).close();
      using stream = await UnixStream.connect(front);
      await stream.writeAll(bytes("GET /back/ HTTP/1.0\r\n\r\n"));
      assertEquals(await readLine(stream), "HTTP/1.1 502 Bad Gateway");
    });
  },
);
