import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type GuestArch, initramfs, kernelPackage, recipe } from './images.ts';
import { putModules } from './kernelmodules.ts';
import { built, run } from './packages.ts';

/** Of VirtIO network cards. */
export const virtioNetModules = ['virtio_pci', 'virtio_net'];

/** An initramfs, and after it what is in `root/folder` as `/folder`: the kernel unpacks archives one after the other. */
export function appendFolder(archive: string, root: string, folder: string, target: string): void {
  const more = `${target}.more`;
  try {
    run('sh', ['-c', `cd '${root}' && find '${folder}' | cpio --quiet -o -H newc | gzip -1 > '${more}'`]);
    writeFileSync(target, Buffer.concat([readFileSync(archive), readFileSync(more)]));
  } finally {
    rmSync(more, { force: true });
  }
}

export interface ModuleInitramfs {
  arch: GuestArch;
  /** Folder of all that is added, from the root of the guest: `usb`. */
  folder: string;
  /** Begins the image's name; the folder's name when absent. */
  name?: string;
  /** Of the kernel's package, without `.ko`; those that they depend on come along (kernelmodules.ts). */
  modules: readonly string[];
  /** What else there is in the folder, to be run, by name. */
  scripts: Readonly<Record<string, string>>;
  /** Puts in what has to be made; `recipe` is what it is made of. */
  more?: { recipe: readonly string[]; make(folder: string): void };
}

/** The guests' initramfs with a folder of kernel modules and scripts. Gives the image's path; it is made once. */
export function moduleInitramfs({ arch, folder, name = folder, modules, scripts, more }: ModuleInitramfs): string {
  const base = initramfs(arch);
  const made = recipe(folder, ...modules, ...Object.entries(scripts).flat(), ...(more?.recipe ?? []), base);
  return built(`${name}-${arch}-${made}.gz`, (target) => {
    const root = mkdtempSync(path.join(tmpdir(), `hypervue-${folder}-`));
    try {
      const into = path.join(root, folder);
      putModules(kernelPackage(arch), modules, into, true);
      for (const [script, text] of Object.entries(scripts)) writeFileSync(path.join(into, script), text, { mode: 0o755 });
      more?.make(into);
      appendFolder(base, root, folder, target);
    } finally {
      rmSync(root, { recursive: true, force: true });
    }
  });
}
