import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const { linkSync } = fs;
const { link } = fs.promises;

function refuse(to: fs.PathLike): never {
  const code = fs.existsSync(to) ? 'EEXIST' : 'EPERM';
  throw Object.assign(new Error(code), { code });
}

/** From now on files can't have hard links in this process, as on FAT and exFAT; the function that it gives undoes that. */
export function withoutHardLinks(): () => void {
  fs.linkSync = (_from, to) => refuse(to);
  fs.promises.link = async (_from, to) => refuse(to);
  syncBuiltinESMExports();
  return () => {
    fs.linkSync = linkSync;
    fs.promises.link = link;
    syncBuiltinESMExports();
  };
}
