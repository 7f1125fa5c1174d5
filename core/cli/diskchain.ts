import { dirname, resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { type ImageFormat, imageFormats } from '../contract/vm.ts';
import type { TaskOptions } from '../disk/task.ts';
import { readableBytes } from '../util/bytes.ts';
import { HypervueError } from '../util/errors.ts';
import type { Runner } from './disk.ts';
import { noteRaw } from './rawhint.ts';

interface RebaseCommandOptions {
  backing?: string;
  backingFormat?: ImageFormat;
  none?: boolean;
  unsafe?: boolean;
}

/** Verbs of `hypervue disk` for images on top of each other, and for the room they take. */
export function addChainCommands(disk: Command, run: Runner, task: TaskOptions): void {
  const format = (description: string) => new Option('--format <format>', description).choices(imageFormats);
  disk
    .command('commit <image>')
    .description('write what an overlay holds into the image below it; the overlay stays, empty, and reads as before')
    .action(
      run(async (disks, image: string) => {
        const below = await disks.commit(image, task);
        return { json: { into: below }, text: `${image}: committed into ${below}` };
      }),
    );
  disk
    .command('rebase <image>')
    .description('put an overlay on another image; it reads as before')
    .option('-b, --backing <image>', 'the image to lie below, relative to the overlay')
    .addOption(new Option('--backing-format <format>', 'its format; found out when absent').choices(imageFormats))
    .option('--none', 'no image: it stands by itself then')
    .option('-u, --unsafe', 'change the name only, for an image that was moved; the contents are not looked at')
    .action(
      run(async (disks, image: string, options: RebaseCommandOptions) => {
        if ((options.backing === undefined) === !options.none)
          throw new HypervueError('invalid-argument', 'rebase wants either --backing IMAGE or --none', {
            path: image,
            operation: 'rebase',
          });
        if (options.backing !== undefined) await noteRaw(resolve(dirname(image), options.backing), options.backingFormat);
        await disks.rebase(image, {
          backingFile: options.backing,
          backingFormat: options.backingFormat,
          unsafe: options.unsafe ?? false,
          ...task,
        });
        return { json: {}, text: options.none ? `${image}: stands by itself` : `${image}: on top of ${options.backing}` };
      }),
    );
  disk
    .command('clone <from> <to>')
    .description('a second disk with the same contents; never overwrites')
    .addOption(format('instead of looking'))
    .option('--linked', 'an overlay instead of a copy: small, but the original must not change any more')
    .action(
      run(async (disks, from: string, to: string, options: { format?: ImageFormat; linked?: boolean }) => {
        await noteRaw(from, options.format);
        await disks.clone({ from: { path: from, format: options.format }, to, linked: options.linked, ...task });
        return { json: {}, text: '' };
      }),
    );
  disk
    .command('compact <image>')
    .description('give back room of zeros and of what was deleted')
    .addOption(format('instead of looking'))
    .action(
      run(async (disks, image: string, options: { format?: ImageFormat }) => {
        await noteRaw(image, options.format);
        const result = await disks.compact(image, { format: options.format, ...task });
        return { json: result, text: `${image}: ${readableBytes(result.before)} before, ${readableBytes(result.after)} now` };
      }),
    );
  disk
    .command('delete <image>')
    .description('delete an image; refused while a machine uses it or another image lies on top of it')
    .action(
      run(async (disks, image: string) => {
        await disks.delete(image);
        return { json: {}, text: '' };
      }),
    );
}
