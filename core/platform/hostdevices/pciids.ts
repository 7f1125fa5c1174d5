import { readFile } from 'node:fs/promises';
import path from 'node:path';

/** Where Debian's pci.ids and Fedora's hwdata put the list (pci.ids(5)). */
const PLACES = ['usr/share/misc/pci.ids', 'usr/share/hwdata/pci.ids'];

export class PciNames {
  /** By `vvvv`, `vvvv:dddd`, `C cc` and `C ccss`. */
  #names: ReadonlyMap<string, string>;

  constructor(text: string) {
    this.#names = parse(text);
  }

  vendor = (vendorId: string): string => this.#names.get(vendorId) ?? '';
  device = (vendorId: string, deviceId: string): string => this.#names.get(`${vendorId}:${deviceId}`) ?? '';

  /** Of the subclass, else of the class. `classId` has six digits. */
  className = (classId: string): string => this.#names.get(`C ${classId.slice(0, 4)}`) ?? this.#names.get(`C ${classId.slice(0, 2)}`) ?? '';
}

/** pci.ids(5): a vendor or `C class` at the margin, its devices or subclasses behind one tab, two blanks before each name. */
function parse(text: string): Map<string, string> {
  const found = new Map<string, string>();
  let above = '';
  for (const line of text.split('\n')) {
    const [, tab, key, name] = /^(\t?)((?:C )?[0-9a-f]{2,4}) {2}(.+)$/.exec(line) ?? [];
    if (key === undefined || name === undefined) {
      if (/^[^#\t\s]/.test(line)) above = '';
    } else if (tab === '') {
      above = key;
      found.set(key, name.trim());
    } else if (above.startsWith('C ')) found.set(above + key, name.trim());
    else if (above !== '') found.set(`${above}:${key}`, name.trim());
  }
  return found;
}

/** The system's list below `root`; without one no number has a name. */
export async function readPciNames(root: string): Promise<PciNames> {
  for (const place of PLACES) {
    const text = await readFile(path.join(root, place), 'utf8').catch(() => '');
    if (text !== '') return new PciNames(text);
  }
  return new PciNames('');
}
