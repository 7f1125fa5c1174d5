import { isDeepStrictEqual } from 'node:util';
import type { VmConfig } from '../../contract/vm.ts';

/** What of a configuration counts at once, also while the machine runs: it is about the machine, not what the machine is made of. */
function timeless({
  name,
  description,
  os,
  createdAt,
  template,
  tags,
  group,
  autostart,
  ...hardware
}: VmConfig): Omit<VmConfig, NameFields> {
  return hardware;
}
type NameFields = 'name' | 'description' | 'os' | 'createdAt' | 'template' | 'tags' | 'group' | 'autostart';

/** Whether two configurations make different machines. A value that is absent is the same as one that is undefined. */
export function hardwareDiffers(a: VmConfig, b: VmConfig): boolean {
  const plain = (config: VmConfig): unknown => JSON.parse(JSON.stringify(timeless(config)));
  return a !== b && !isDeepStrictEqual(plain(a), plain(b));
}

/** The names of one, the hardware of the other. */
export function withHardwareOf(names: VmConfig, hardware: VmConfig): VmConfig {
  const { name, description, os, createdAt, template, tags, group, autostart } = names;
  return { ...hardware, id: names.id, name, description, os, createdAt, template, tags, group, autostart };
}
