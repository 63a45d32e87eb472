/**
 * Notes the errors that nothing catches in a test file on Deno. Once a file has called the `test` of `node:test`, Deno
 * drops those that come outside a test, even one that ends the module before it has declared its other tests.
 * @module
 */

const path = Deno.env.get("AFUNIX_UNCAUGHT");

function note(error: unknown): void {
  const text = error instanceof Error ? error.stack ?? error.message : String(error);
  Deno.writeTextFileSync(path!, JSON.stringify(text) + "\n", { append: true });
}

if (path !== undefined) {
  Deno.env.delete("AFUNIX_UNCAUGHT");
  addEventListener("error", (event) => note(event.error));
  addEventListener("unhandledrejection", (event) => note(event.reason));
}
