/** A path as file managers and shells give it to the clipboard, as a plain path: without quotes around it, and from a file: address. Anything else as it is. */
export function pastedPath(text: string): string {
  const inner = /^\s*(["'])(.+)\1\s*$/.exec(text)?.[2] ?? text;
  const address = /^\s*file:\/\/(?:localhost)?(\/\S*)\s*$/i.exec(inner)?.[1];
  if (address === undefined) return inner;
  try {
    const path = decodeURIComponent(address);
    // A drive letter of Windows comes after the slash.
    return /^\/[a-z]:/i.test(path) ? path.slice(1) : path;
  } catch {
    return inner;
  }
}
