import { canBeSeen } from '../contract/vm.ts';

/** `wanted`, or with the first number that makes it free: "Debian", "Debian 2", "Debian 3". Upper and lower case count as the same. */
export function freeName(wanted: string, taken: Iterable<string>): string {
  const used = new Set([...taken].map((name) => name.toLowerCase()));
  const base = cutTo(wanted, 120).trim() || 'Machine';
  if (!used.has(base.toLowerCase())) return base;
  const stem = base.replace(/ \d+$/, '');
  for (let number = 2; ; number++) {
    const name = `${stem} ${number}`;
    if (!used.has(name.toLowerCase())) return name;
  }
}

/** At most `length` UTF-16 units of `text`, and never half of a pair, which would become another name on disk. */
function cutTo(text: string, length: number): string {
  return text
    .toWellFormed()
    .slice(0, length)
    .replace(/[\ud800-\udbff]$/, '');
}

/** A machine name from what is known of its medium: an OS name as it is, a file name without its path and ending. */
export function nameFromHint(hint: string): string {
  const file = hint.split(/[\\/]/).at(-1) ?? '';
  const plain = file
    .replace(/\.(iso|img|ima|flp|raw|bin|vfd|dsk|gz|xz)$/i, '')
    .replace(/[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu, '')
    .replaceAll('_', ' ')
    .trim();
  return canBeSeen(plain) ? plain : 'New machine';
}

/** A folder name that every file system takes, close to the machine's name. */
export function folderName(name: string): string {
  const safe = name
    .toWellFormed()
    .normalize('NFC')
    .replace(/[<>:"/\\|?*\p{Cc}]/gu, '-')
    // Nobody could tell where a path with these in it leads.
    .replace(/[\u202a-\u202e\u2066-\u2069]/g, '')
    .replace(/^\.+/, '')
    .replace(/[. ]+$/, '');
  // 255 bytes is the usual limit for a name; room stays for a number.
  let cut = safe;
  while (Buffer.byteLength(cut) > 200) cut = cutTo(cut, cut.length - 1);
  // Device names of Windows.
  return /^(con|prn|aux|nul|com\d|lpt\d)$/i.test(cut) || cut === '' ? `machine-${cut}` : cut;
}

/** `wanted`, or with the first number before its ending that makes it free: "disk.qcow2", "disk 2.qcow2". */
export function freeFileName(wanted: string, taken: readonly string[]): string {
  const ending = /\.[a-z0-9]{1,8}$/i.exec(wanted)?.[0] ?? '';
  const stems = taken
    .filter((name) => name.toLowerCase().endsWith(ending.toLowerCase()))
    .map((name) => name.slice(0, name.length - ending.length));
  return `${freeName(wanted.slice(0, wanted.length - ending.length), stems)}${ending}`;
}
