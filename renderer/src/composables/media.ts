import type { MediaInfo } from '../../../core/contract/host.ts';

export const sourceTypes = ['iso', 'disk', 'floppy', 'kernel', 'network', 'blank', 'sample'] as const;
export type SourceType = (typeof sourceTypes)[number];
/** Sources that are a file. */
export type FileSource = Exclude<SourceType, 'network' | 'blank' | 'sample'>;
export const isFileSource = (source: SourceType): source is FileSource => source !== 'network' && source !== 'blank' && source !== 'sample';

const extensions: Partial<Record<SourceType | 'initrd', string[]>> = {
  iso: ['iso'],
  floppy: ['img', 'ima', 'vfd', 'flp', 'dsk'],
  disk: ['img', 'raw', 'dd', 'hdd', 'qcow2', 'qcow', 'qc2'],
};

/** Usual file name endings; kernels have none. */
export const extensionsOf = (source: SourceType): string[] => extensions[source] ?? [];

/** The source a file of this kind belongs to; null when its bytes do not say. */
export function sourceFor(kind: MediaInfo['kind']): SourceType | null {
  switch (kind) {
    case 'iso':
    case 'floppy':
    case 'disk':
      return kind;
    case 'bzimage':
    case 'multiboot':
      return 'kernel';
    case 'unknown':
      return null;
  }
}
