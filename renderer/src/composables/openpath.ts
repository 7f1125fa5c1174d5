import type { RouteLocationRaw } from 'vue-router';

/** Images that a disk is made from; `.iso` is a disc, and what machines come as is imported. */
const DISKS = /\.(qcow2|qcow|qc2|raw|img|dd|hdd|vmdk|vdi|vhd|vhdx)$/i;

/**
 * The page that can do something with a file: the wizard with it as its source, or the import of a machine. Nothing happens there before somebody says so. Paths may
 * come from a link on the web; what is no absolute path leads nowhere.
 */
export function pageFor(path: string): RouteLocationRaw {
  if (!/^(\/|[a-z]:[\\/])/i.test(path) || /\p{Cc}/u.test(path)) return { name: 'not-found', params: { rest: ['open'] } };
  const name = path.split(/[\\/]/).at(-1)!;
  if (/\.(ova|ovf)$/i.test(name)) return { name: 'machines', query: { import: path } };
  if (name === 'vm.json') return { name: 'machines', query: { import: path.slice(0, -name.length - 1) } };
  if (DISKS.test(name)) return { name: 'new', query: { source: 'disk', path } };
  return { name: 'new', query: { source: 'iso', path } };
}
