/** What link(2) fails with on file systems without hard links: FAT and exFAT, as of memory sticks, network folders, some FUSE. */
const NO_LINKS = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK']);
/** ERROR_INVALID_FUNCTION, as libuv calls it. */
const NO_LINKS_WINDOWS = 'EISDIR';

/** Whether a link could not be made because there are none in that place. */
export function hasNoHardLinks(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  return NO_LINKS.has(code) || (process.platform === 'win32' && code === NO_LINKS_WINDOWS);
}
