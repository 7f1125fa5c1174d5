import path from 'node:path';

const endings: Readonly<Record<string, string>> = { '.raw': 'raw', '.img': 'raw', '.vmdk': 'vmdk' };

/** The format that a new image's name asks for, of those that can be written: raw for `disk.raw` and `disk.img`, qcow2 where it says nothing. */
export function formatOfName<T extends string>(file: string, formats: readonly T[]): T | 'qcow2' {
  const format = endings[path.extname(file).toLowerCase()];
  return formats.find((each) => each === format) ?? 'qcow2';
}

/** What `--format` says where it has no default. */
export const byName = 'by the ending of its name (.raw, .img, .vmdk), else qcow2';
