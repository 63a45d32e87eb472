// A test file whose only test passes, and that throws after it has declared it.

import { test } from "node:test";

test("passes", () => {});
throw new Error("outside a test");
