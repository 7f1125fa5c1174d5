import { stateWord } from '../operationwords.ts';
import { readdir, readFile, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { checkConfigText } from '../../contract/configtext.ts';
import { withDrive } from '../../contract/devices.ts';
import { type DriveId, freePlace } from '../../contract/drives.ts';
import { type Explanation, type hardwareMethods, MAX_CONFIG_TEXT } from '../../contract/hardware.ts';
import type { ExplainedNetwork } from './explainnetwork.ts';
import type { Handlers } from '../../contract/server.ts';
import type { ParsedParams } from '../../contract/methods.ts';
import type { Drive, VmConfig, VmSummary } from '../../contract/vm.ts';
import { createDisk } from '../../platform/creatediskfile.ts';
import { writeFileAtomic } from '../../platform/atomicfile.ts';
import { findUefi } from '../../platform/firmware.ts';
import { fileError } from '../../platform/nodefile.ts';
import { HypervueError } from '../../util/errors.ts';
import { say } from '../../util/say.ts';
import { type DeviceOwner, giveDevice, refuseNewDevices } from '../devicedisks.ts';
import type { Machine } from '../machine.ts';
import type { PreflightParts } from '../preflight.ts';
import { losesDisk } from '../machinedrives.ts';
import { readImageFacts } from '../storage/headers.ts';
import type { Tasks } from '../tasks.ts';
import { freeFileName } from '../names.ts';
import { CONFIG_FILE } from '../vmconfigfile.ts';
import { explain } from './explain.ts';

/** Former files: vm.json.2026-11-21T12-00-00-000Z. */
const BACKUP = /^vm\.json\.(\d{4}-\d\d-\d\dT\d\d)-(\d\d)-(\d\d)-(\d{3}Z)$/;

export interface HardwareParts {
  tasks: Tasks;
  machine(id: string): Machine;
  firmware: PreflightParts['firmware'];
  /** Keeps a machine's new name for the time that it takes to give it. */
  withName<T>(name: string, work: () => Promise<T>): Promise<T>;
  /** Before a disk is taken from a machine that is off. */
  before(machine: Machine, risk: 'drives'): Promise<void>;
  /** Looks at the library anew, after the file of a machine that could not be used was mended; gives the machine in that folder. */
  rescan(folder: string): Promise<VmSummary>;
  /** All of the library. */
  owners(): readonly DeviceOwner[];
  storageChanged(): void;
  /** What is known of a network. */
  network(id: string): ExplainedNetwork | undefined;
}

/** vm.json as text, changes that wait for the next start, and a machine in QEMU's terms. */
export class HardwareService {
  readonly handlers: Pick<Handlers, keyof typeof hardwareMethods>;
  private readonly parts: HardwareParts;
  private giving: Promise<unknown> = Promise.resolve();

  constructor(parts: HardwareParts) {
    this.parts = parts;
    this.handlers = {
      'vm.explain': ({ id, now }) => this.explain(parts.machine(id), now),
      'vm.configText': ({ id, backup }) => this.text(parts.machine(id), backup),
      'vm.setConfigText': ({ id, text, before }) => this.setText(parts.machine(id), text, before),
      'vm.addDisk': (how) => this.addDisk(parts.machine(how.id), how),
      'vm.giveDevice': async ({ id, ...how }) => {
        const machine = parts.machine(id);
        // One after the other, so that no two machines get the same.
        const given = this.giving.then(() => giveDevice(machine, how, parts.owners));
        this.giving = given.catch(() => {});
        const drive = await given;
        parts.storageChanged();
        return { machine: machine.summary(), drive };
      },
      'vm.revertPending': async ({ id }) => {
        const machine = parts.machine(id);
        await machine.settings.revertPending();
        parts.storageChanged();
        return machine.summary();
      },
    };
  }

  private async addDisk(machine: Machine, how: ParsedParams<'vm.addDisk'>): Promise<{ machine: VmSummary; drive: string }> {
    const { sizeBytes, format, bus, passphrase } = how;
    if (passphrase !== undefined && format === 'raw')
      throw new HypervueError('unsupported', say('rawNotEncrypted'), { object: machine.name }, say('fixRawEncrypted'));
    const place = (drives: readonly Drive[]) => {
      const free = freePlace(
        bus,
        drives.map(({ id }) => id),
      );
      if (free) return free;
      throw new HypervueError(
        'resource-limit',
        say('busTaken', { bus, name: machine.name }),
        { object: machine.name, operation: 'add a disk' },
        say('fixBusTaken'),
      );
    };
    place(machine.settings.usable('add a disk').drives);
    const name = freeFileName(`disk.${format === 'raw' ? 'img' : format}`, await readdir(machine.folder));
    const file = path.join(machine.folder, name);
    await this.parts.tasks.run('disk.create', machine.name, () => createDisk(file, { format, sizeBytes, passphrase }));
    let drive: DriveId | undefined;
    try {
      await machine.settings.replace((now) => {
        drive = place(now.drives);
        return { ...now, ...withDrive(now, { id: drive, kind: 'disk', path: name, format, readOnly: false }) };
      });
    } catch (error) {
      await rm(file, { force: true }).catch(() => {});
      throw error;
    }
    this.parts.storageChanged();
    return { machine: machine.summary(), drive: drive! };
  }

  private async explain(machine: Machine, now: boolean): Promise<Explanation> {
    const config = now ? machine.settings.present('explain') : machine.settings.usable('explain');
    const { folder } = this.parts.firmware();
    const { folder: home } = machine;
    return explain(config, {
      folder: home,
      firmwareFolder: folder,
      uefiImage: findUefi(folder).file,
      network: (id) => this.parts.network(id),
      encrypted: await encryptedDisks(config, home),
    });
  }

  private async text(machine: Machine, backup: string | undefined) {
    if (backup !== undefined && !BACKUP.test(backup))
      throw new HypervueError('not-found', say('noFormerConfig', { name: machine.name, file: backup }), { object: machine.name });
    const file = path.join(machine.folder, CONFIG_FILE);
    return {
      text: await readText(backup === undefined ? file : path.join(machine.folder, backup)),
      path: file,
      backups: await backupsOf(machine.folder),
    };
  }

  private async setText(machine: Machine, text: string, before: string | undefined): Promise<{ machine: VmSummary; keptAs: string }> {
    const file = path.join(machine.folder, CONFIG_FILE);
    const next = goodConfig(text, file, machine);
    const { name, config } = machine;
    let keptAs = '';
    const keep = async () => {
      const former = await readText(file);
      if (before !== undefined && former !== before)
        throw new HypervueError(
          'invalid-state',
          say('configChanged', { name }),
          { object: name, path: file, operation: 'edit' },
          say('fixConfigChanged'),
        );
      keptAs = await keepFormer(machine.folder, former);
    };
    if (!config) {
      if (machine.active)
        throw new HypervueError('invalid-state', say('machineIs', { name, what: stateWord(machine.state) }), { object: name });
      await keep();
      await writeFileAtomic(file, text);
      return { machine: await this.parts.rescan(machine.folder), keptAs };
    }
    await refuseNewDevices(config.drives, next.drives, machine.folder);
    if (!machine.active && losesDisk(config.drives, next.drives)) await this.parts.before(machine, 'drives');
    const write = () => machine.settings.replace(() => next, keep);
    if (next.name.toLowerCase() === name.toLowerCase()) await write();
    else await this.parts.withName(next.name, write);
    machine.record('info', 'manager', `its configuration was edited; the former one is kept as ${keptAs}`);
    this.parts.storageChanged();
    return { machine: machine.summary(), keptAs };
  }
}

/** The configuration that the text means. Throws 'invalid-argument' with the place of the first mistake. */
function goodConfig(text: string, file: string, machine: Machine): VmConfig {
  // A machine whose file could not be read may have been given an id that is not the file's.
  const { problems, config } = checkConfigText(text, machine.config?.id);
  const [first] = problems;
  if (config && !first) return config;
  throw new HypervueError(
    'invalid-argument',
    say('configWrong', {
      line: first?.line ?? 1,
      column: first?.column ?? 1,
      field: first?.field ? `${first.field}: ` : '',
      problem: first?.message ?? 'this is no configuration',
    }),
    { object: machine.name, path: file, line: first?.line, column: first?.column, problems: problems.length },
    say('fixConfigWrong'),
  );
}

async function readText(file: string): Promise<string> {
  try {
    const { size } = await stat(file);
    if (size > MAX_CONFIG_TEXT)
      throw new HypervueError('resource-limit', say('configTooLarge', { file }), { path: file }, say('fixEarlierCopy'));
    return await readFile(file, 'utf8');
  } catch (error) {
    throw error instanceof HypervueError ? error : fileError(error, file, 'read');
  }
}

async function backupsOf(folder: string): Promise<{ name: string; at: string }[]> {
  const names = await readdir(folder).catch(() => [] as string[]);
  return names
    .flatMap((name) => {
      const parts = BACKUP.exec(name);
      return parts ? [{ name, at: `${parts[1]}:${parts[2]}:${parts[3]}.${parts[4]}` }] : [];
    })
    .sort((a, b) => (a.at < b.at ? 1 : -1));
}

/** Keeps the former file under a name of its own; gives that name. */
async function keepFormer(folder: string, text: string): Promise<string> {
  const name = `${CONFIG_FILE}.${new Date().toISOString().replaceAll(/[:.]/g, '-')}`;
  await writeFileAtomic(path.join(folder, name), text);
  return name;
}

async function encryptedDisks(config: VmConfig, folder: string): Promise<DriveId[]> {
  const found: DriveId[] = [];
  for (const { id, kind, format, path: file } of config.drives)
    if (kind === 'disk' && format === 'qcow2' && file !== null && (await isEncrypted(path.resolve(folder, file)))) found.push(id);
  return found;
}

/** False for one that can't be read now: the start says that. */
const isEncrypted = (file: string): Promise<boolean> =>
  readImageFacts(file).then(
    ({ encrypted }) => encrypted,
    () => false,
  );
