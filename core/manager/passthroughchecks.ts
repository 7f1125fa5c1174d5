/** What is in the way of handing a PCI function of this computer to a guest, each with what root would do about it. */
import { inUse, usesOf } from '../contract/deviceuse.ts';
import { type PciFunction, pciTitle } from '../contract/hostdevices.ts';
import type { Passthrough } from '../contract/passthrough.ts';
import type { Engine } from '../engine/engine.ts';
import { type PassthroughFacts, readPassthrough } from '../platform/hostdevices/passthrough.ts';
import { HypervueError } from '../util/errors.ts';
import { say, type Saying } from '../util/say.ts';
import { bad, engineName, good, toCheck } from './preflight.ts';

const VFIO = 'vfio-pci';
type Line = Passthrough['checks'][number];

const fine = (id: string, message: Saying): Line => ({ ...toCheck(good(id, message)), commands: [] });
const wrong = (id: string, severity: 'error' | 'warning', message: Saying, fix: Saying, commands: string[] = []): Line => ({
  ...toCheck(bad(id, severity, 'unsupported', message, fix)),
  commands,
});

/** Rejects with 'not-found' where there is no such function, 'unsupported' on other systems than Linux. */
export async function passthrough(
  address: string,
  engine: Pick<Engine, 'id' | 'name'>,
  root = '/',
  platform: NodeJS.Platform = process.platform,
): Promise<Passthrough> {
  if (platform !== 'linux') throw new HypervueError('unsupported', say('hostDevicesUnread', { platform }), { object: address });
  const facts = await readPassthrough(root, address);
  if (!facts) throw new HypervueError('not-found', say('pciGone', { device: address }), { object: address }, say('fixPciGone'));
  return { device: facts.device, along: facts.along, checks: passthroughChecks(facts, engineName(engine)) };
}

/** In the order in which they are to be mended. `engine` is the name of the one that would run the machine, which has no way to PCI functions. */
function passthroughChecks(facts: PassthroughFacts, engine: Saying): Line[] {
  const checks = [iommu(facts)];
  if (facts.device.iommuGroup !== null) {
    const used = uses(facts);
    checks.push(
      group(facts),
      ...used,
      driver(
        facts,
        used.some(({ ok, severity }) => !ok && severity === 'error'),
      ),
      rights(facts),
    );
  }
  return [...checks, wrong('engine', 'error', say('passthroughEngine', { engine }), say('fixPassthroughEngine'))];
}

function iommu({ device, grouped, vendor, turnedOff }: PassthroughFacts): Line {
  if (device.iommuGroup !== null) return fine('iommu', say('passthroughIommu', { group: device.iommuGroup }));
  if (grouped > 0) return wrong('iommu', 'error', say('passthroughNoGroup', { device: device.address }), say('fixPassthroughNoGroup'));
  if (turnedOff) return wrong('iommu', 'error', say('passthroughTurnedOff'), say('fixPassthroughTurnedOff'));
  const fix = { intel: say('fixPassthroughIntel'), amd: say('fixPassthroughAmd'), other: say('fixPassthroughOther') };
  return wrong('iommu', 'error', say('passthroughNoIommu'), fix[vendor]);
}

function group({ device, along }: PassthroughFacts): Line {
  if (!along.length) return fine('group', say('passthroughAlone', { device: device.address }));
  const others = along.map(pciTitle).join('; ');
  return wrong('group', 'warning', say('passthroughAlong', { others, group: device.iommuGroup! }), say('fixPassthroughAlong'));
}

function uses({ device, along, disks, routes }: PassthroughFacts): Line[] {
  const found: Line[] = [];
  const used = disks.filter(inUse);
  if (used.length) found.push(wrong('disks', 'error', say('passthroughDisks', { uses: usesOf(used) }), say('fixPassthroughDisks')));
  if (routes.length) found.push(wrong('route', 'error', say('passthroughRoute', { names: routes.join(', ') }), say('fixPassthroughRoute')));
  if ([device, ...along].some(({ bootVga }) => bootVga))
    found.push(wrong('display', 'warning', say('passthroughDisplay'), say('fixPassthroughDisplay')));
  return found.length ? found : [fine('unused', say('passthroughUnused'))];
}

function driver({ device, along, driverThere }: PassthroughFacts, needed: boolean): Line {
  const others = [device, ...along].filter((each) => each.driver !== VFIO);
  if (!others.length) return fine('driver', say('passthroughDriver', { driver: VFIO }));
  const list = others.map((each) => (each.driver ? `${each.address} (${each.driver})` : each.address)).join(', ');
  const message = say('passthroughOtherDriver', { list, driver: VFIO });
  if (needed) return wrong('driver', 'error', message, say('fixPassthroughFirst'));
  return wrong('driver', 'error', message, say('fixPassthroughDriver'), [
    ...(driverThere ? [] : [`modprobe ${VFIO}`]),
    ...others.flatMap((each) => bind(each)),
  ]);
}

/** Sysfs: driver_override, unbind, drivers_probe. Addresses are of the kernel's own form, checked where they are read. */
function bind({ address, driver: bound }: PciFunction): string[] {
  const of = `/sys/bus/pci/devices/${address}`;
  return [
    `echo ${VFIO} > ${of}/driver_override`,
    ...(bound ? [`echo ${address} > ${of}/driver/unbind`] : []),
    `echo ${address} > /sys/bus/pci/drivers_probe`,
  ];
}

function rights({ device, groupFile }: PassthroughFacts): Line {
  const file = `/dev/vfio/${device.iommuGroup}`;
  if (groupFile === 'open') return fine('rights', say('passthroughRights', { file }));
  if (groupFile === 'missing')
    return wrong('rights', 'error', say('passthroughNoFile', { file, driver: VFIO }), say('fixPassthroughNoFile'));
  return wrong('rights', 'error', say('passthroughRefused', { file }), say('fixPassthroughRefused'), [
    'groupadd --system --force vfio',
    `chgrp vfio ${file}`,
    `chmod g+rw ${file}`,
  ]);
}
