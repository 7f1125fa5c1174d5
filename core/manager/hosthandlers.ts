/** The host, the systems it can make machines for, and the settings. */
import type { HostInfo } from '../contract/host.ts';
import type { Handlers } from '../contract/server.ts';
import type { Firmware } from '../platform/firmware.ts';
import { plain, say } from '../util/say.ts';
import { readHostDevices } from '../platform/hostdevices/read.ts';
import { freeBytes, hostFacts } from '../platform/hostinfo.ts';
import { browse } from './browse.ts';
import type { ManagerContext } from './context.ts';
import { inspectMedia } from './inspectmedia.ts';
import { givenDisks } from './devicedisks.ts';
import { deviceOwner, type Services } from './services.ts';
import { libraryChange, libraryHandlers } from './librarychange.ts';
import { passthrough } from './passthroughchecks.ts';
import { engineName } from './preflight.ts';
import { describeSystems } from './systems/opensystems.ts';

export function hostHandlers(context: ManagerContext, services: Services) {
  const { history } = services;
  const { options, settings, emit, machines } = context;
  return {
    ...libraryHandlers(context, services),
    'host.info': () => hostInfo(options),
    'host.browse': ({ path: folder }) => browse(folder),
    'host.systems': async () => describeSystems(options.systems),
    'host.passthrough': ({ address }) => passthrough(address, options.engine),
    'host.devices': async () => {
      const devices = await readHostDevices();
      services.deviceWatch.looked();
      return { ...devices, given: await givenDisks(machines.all().map(deviceOwner), devices.block) };
    },
    'host.inspectMedia': ({ path: file }) => inspectMedia(file, options.systems?.table),
    'host.history': async ({ range }) => history.ofHost(range),
    'settings.get': async () => settings.get(),
    'settings.set': async (patch) => {
      const now = await settings.set(patch);
      emit('settings.changed', now);
      return now;
    },
  } satisfies Partial<Handlers>;
}

async function hostInfo({
  engine,
  library,
  configFolder,
  version,
  mode,
  sampleImage,
  ...options
}: ManagerContext['options']): Promise<HostInfo> {
  const { available, reason, maxMemoryMiB, maxVcpus, saveState, liveSnapshots } = await engine.capabilities();
  const firmware = options.firmware();
  const uefi = options.uefi();
  const sample = await inspectMedia(sampleImage).then(
    ({ sizeBytes }) => sizeBytes > 0,
    () => false,
  );
  return {
    version,
    ...hostFacts(),
    libraryFreeBytes: await freeBytes(library),
    libraryFolder: library,
    libraryChange: part(libraryChange(options)),
    configFolder,
    engines: [
      {
        id: engine.id,
        name: engine.name,
        available,
        saidName: engineName(engine).said,
        reason: reason.text,
        said: reason.said,
      },
    ],
    limits: { maxMemoryMiB, maxVcpus },
    capabilities: { saveState, liveSnapshots },
    mode,
    firmware: part(firmware),
    uefi: part(uefi),
    sample: part(
      sample ? { available: true, reason: plain(sampleImage) } : { available: false, reason: say('sampleMissing'), fix: say('fixSample') },
    ),
  };
}

const part = ({ available, reason, fix }: Pick<Firmware, 'available' | 'reason' | 'fix'>): HostInfo['sample'] => ({
  available,
  reason: reason.text,
  said: reason.said,
  ...(fix ? { fix: fix.text, saidFix: fix.said } : {}),
});
