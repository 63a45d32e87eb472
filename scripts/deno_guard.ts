/**
 * Makes a test file fail on Deno if something threw outside a test. Once a file has called the `test` of `node:test`,
 * Deno drops such errors, even one that ends the module before it has declared its other tests.
 * @module
 */

const errors: unknown[] = [];

addEventListener("error", ({ error }) => errors.push(error));
addEventListener("unhandledrejection", ({ reason }) => errors.push(reason));

Deno.test.afterAll(() => {
  if (errors.length > 0) throw errors[0];
});
