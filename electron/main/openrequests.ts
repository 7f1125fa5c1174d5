/**
 * What the app is asked to open from outside: deep links (`hypervue://…`), files that were double-clicked or dropped on its icon, arguments of a second start. All of
 * it may come from a web page or a mail, so it names pages only: nothing is created, started or changed before somebody presses a button there.
 */
import { existsSync, statSync } from 'node:fs';
import path from 'node:path';
import { vmIdSchema } from '../../core/contract/vm.ts';

export const LINK_SCHEME = 'hypervue';
export const SERVERS_PAGE = '#/servers';
const MAX_LENGTH = 4096;
/** Files that one of the app's pages can do something with. */
const EXTENSIONS = new Set(['.iso', '.img', '.qcow2', '.raw', '.vmdk', '.vdi', '.vhd', '.vhdx', '.ova', '.ovf']);
const MACHINE_FILE = 'vm.json';
/** Tabs of a machine that a link may name. */
const TABS = new Set(['console', 'serial', 'snapshots', 'hardware', 'performance', 'log']);

/** Where a path can't be sent elsewhere: absolute, on this computer (Windows hands its password hashes to whatever host a UNC path names), without control characters. */
function localPath(file: string): boolean {
  return (
    file.length <= MAX_LENGTH &&
    path.isAbsolute(file) &&
    !/[\p{Cc}\p{Cf}]/u.test(file) &&
    !/^[\\/]{2}/.test(file) &&
    !file.split(/[\\/]/).includes('..')
  );
}

const openFile = (file: string) => `#/open?path=${encodeURIComponent(file)}`;

/** The page that a deep link means, as a hash; undefined for anything that is not exactly one of the forms there are. */
export function pageOfLink(text: string): string | undefined {
  if (text.length > MAX_LENGTH) return undefined;
  const url = URL.parse(text);
  if (url?.protocol !== `${LINK_SCHEME}:` || url.username || url.password || url.port || url.hash) return undefined;
  const parts = url.pathname.split('/').filter(Boolean);
  switch (url.host) {
    case 'machine': {
      const [id, tab, ...more] = parts;
      if (url.search || more.length || !vmIdSchema.safeParse(id).success) return undefined;
      if (tab === undefined) return `#/machines/${id}`;
      return TABS.has(tab) ? `#/machines/${id}/${tab}` : undefined;
    }
    case 'new': {
      const wanted = [...url.searchParams];
      if (parts.length || wanted.length > 1) return undefined;
      if (!wanted.length) return '#/new';
      const [name, file] = wanted[0]!;
      if ((name !== 'iso' && name !== 'disk') || !localPath(file)) return undefined;
      return EXTENSIONS.has(path.extname(file).toLowerCase()) ? openFile(file) : undefined;
    }
    case 'attach':
      return parts.length || url.search ? undefined : SERVERS_PAGE;
    default:
      return undefined;
  }
}

/** The page for a file that the system hands over; undefined when it is none that the app knows. */
export function pageOfFile(file: string, workingFolder: string): string | undefined {
  if (file.length > MAX_LENGTH) return undefined;
  const full = path.resolve(workingFolder, file);
  if (!localPath(full)) return undefined;
  if (path.basename(full) !== MACHINE_FILE && !EXTENSIONS.has(path.extname(full).toLowerCase())) return undefined;
  return existsSync(full) && statSync(full, { throwIfNoEntry: false })?.isFile() ? openFile(full) : undefined;
}

/**
 * The page that a command line asks for. Switches are passed over (a browser may have been talked into adding some), and of several the last counts, as the system
 * puts what was clicked at the end.
 */
export function pageOfArguments(argv: readonly string[], workingFolder: string): string | undefined {
  const wanted = argv.slice(1).filter((argument) => !argument.startsWith('-'));
  for (const argument of wanted.reverse()) {
    const page = argument.toLowerCase().startsWith(`${LINK_SCHEME}:`) ? pageOfLink(argument) : pageOfFile(argument, workingFolder);
    if (page !== undefined) return page;
  }
  return undefined;
}
