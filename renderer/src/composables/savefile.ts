/** Gives the person a file to keep: a download in a browser, a save dialog or the downloads folder in the desktop application. */
export function saveFile(name: string, content: BlobPart, type: string): void {
  const url = URL.createObjectURL(new Blob([content], { type }));
  const link = document.createElement('a');
  link.href = url;
  // What file systems refuse in names.
  link.download = name.replaceAll(/[\\/:*?"<>|]/g, '_');
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** For names of files: the present second without colons. */
export const timeForName = () => new Date().toISOString().slice(0, 19).replaceAll(':', '-');
