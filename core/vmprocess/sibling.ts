/**
 * The URL of an entry point beside the calling one: `name.ts` when running from source, `name.js` in the bundle. `from` is the caller's import.meta.url.
 */
export function sibling(from: string, name: string): URL {
  return new URL(from.endsWith('.ts') ? `./${name}.ts` : `./${name}.js`, from);
}
