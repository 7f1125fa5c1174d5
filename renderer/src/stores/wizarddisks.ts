import type { DiskFormat, VmCreate } from '../../../core/contract/vm.ts';

/** One disk of a machine that is being made, as the wizard's page has it: what was typed for one kind stays while another is looked at. */
export interface DiskDraft {
  /** Of the page's fields; never sent. */
  key: number;
  kind: 'new' | 'existing' | 'none';
  /** GiB, may have a fraction. */
  sizeGiB: number;
  format: DiskFormat;
  /** '' for the machine's own folder. */
  pool: string;
  path: string;
  copy: boolean;
  readOnly: boolean;
}

/** Beside the first: what the contract takes. */
export const maxDisks = 7;

let keys = 0;

export const freshDisk = (sizeGiB: number, format: DiskFormat): DiskDraft => ({
  key: ++keys,
  kind: 'new',
  sizeGiB,
  format,
  pool: '',
  path: '',
  copy: false,
  readOnly: false,
});

const sectors = (gib: number) => Math.round((gib * 1024 ** 3) / 512) * 512;

/** The contract's words for the disks; `passphrase` encrypts every new one. */
export function requestedDisks(disks: readonly DiskDraft[], passphrase: string | null): Pick<VmCreate, 'newDisk' | 'attach' | 'moreDisks'> {
  const words = disks
    .filter(({ kind }) => kind !== 'none')
    .map(({ kind, sizeGiB, format, pool, path, copy, readOnly }) => {
      const place = pool === '' ? {} : { pool };
      if (kind === 'existing')
        return { type: 'existing' as const, path: path.trim(), copy, readOnly: !copy && readOnly, ...(copy ? place : {}) };
      return {
        type: 'new' as const,
        sizeBytes: sectors(sizeGiB),
        format,
        ...(passphrase !== null && format === 'qcow2' ? { passphrase } : {}),
        ...place,
      };
    });
  const [first, ...more] = words;
  const rest = more.length ? { moreDisks: more } : {};
  if (!first) return { newDisk: null };
  const { type, ...disk } = first;
  return type === 'new'
    ? { newDisk: disk as NonNullable<VmCreate['newDisk']>, ...rest }
    : { newDisk: null, attach: disk as VmCreate['attach'], ...rest };
}

/** Key under `wizard.missing.*` of what a disk still needs; null when it is complete. */
export function missingOfDisk({ kind, sizeGiB, path }: DiskDraft): 'size' | 'path' | null {
  if (kind === 'new' && !(sizeGiB * 1024 >= 1)) return 'size';
  return kind === 'existing' && path.trim() === '' ? 'path' : null;
}
