/**
 * The modules that a runtime has built in.
 * @module
 */

interface Globals {
  process?: { getBuiltinModule?(name: string): unknown };
}

/** A module of the runtime by name, found at run time so that bundlers leave it alone. */
export function builtinModule<T>(name: string): T | undefined {
  return (globalThis as Globals).process?.getBuiltinModule?.(name) as T | undefined;
}
