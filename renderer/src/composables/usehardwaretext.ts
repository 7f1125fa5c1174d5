import { useI18n } from 'vue-i18n';
import { isCardPlace } from '../../../core/contract/boot.ts';
import type { DriveId } from '../../../core/contract/drives.ts';
import type { NetPlace, NetworkCard } from '../../../core/contract/networks.ts';
import type { VmConfig } from '../../../core/contract/vm.ts';
import { cardAt, driveAt } from '../../../core/contract/devices.ts';
import { cardNumber, type Device, type EditedField, pendingFields, portOf } from './hardware.ts';
import { bootLines } from './hardware.ts';
import { placeMessage } from './driveplace.ts';
import { useFormat } from './useformat.ts';
import { useNetworks } from '../stores/networks.ts';

/** Parts of a machine and their values in words. */
export function useHardwareText() {
  const { t } = useI18n();
  const format = useFormat();
  const networks = useNetworks();

  const driveName = (id: string, kind: string): string => {
    const [key, parameters] = placeMessage(id as never);
    return t('hardware.driveAt', { drive: t(`drive.${kind}`), place: t(key, parameters) });
  };

  const cardName = (id: string): string => t('networks.card.name', { n: cardNumber(id) });
  /** Of a line of the boot order. */
  const bootName = (id: DriveId | NetPlace, config: Pick<VmConfig, 'drives'>): string =>
    isCardPlace(id) ? cardName(id) : driveName(id, driveAt(config, id)!.kind);

  function title(device: Device): string {
    switch (device.kind) {
      case 'disk':
      case 'cdrom':
      case 'floppy':
        return driveName(device.id, device.kind);
      case 'serial':
        return t('hardware.serialPort', { n: portOf(device.id) + 1 });
      case 'network':
        return cardName(device.id);
      case 'usb':
        return t('hardware.controller.usb.name');
      case 'controller':
        return t(`hardware.controller.${device.id.slice('controller-'.length)}.name`);
      default:
        return t(`hardware.device.${device.kind}`);
    }
  }

  /** For the narrow list, where the place stands in the line below. */
  const isDrive = ({ kind }: Device): boolean => kind === 'disk' || kind === 'cdrom' || kind === 'floppy';
  const shortTitle = (device: Device): string => (isDrive(device) ? t(`drive.${device.kind}`) : title(device));

  const fileName = (path: string | null | undefined): string => path?.split(/[\\/]/).at(-1) ?? '';
  const onOff = (on: boolean): string => t(on ? 'hardware.on' : 'hardware.off');

  const cardWords = ({ network, model }: NetworkCard): string =>
    t('networks.card.value', {
      network: network === null ? t('networks.card.nowhere') : networks.nameOf(network),
      model: t(`networks.card.modelShort.${model}`),
    });

  function detail(device: Device, config: VmConfig): string {
    switch (device.kind) {
      case 'cpu':
        return t(`cpu.model.${config.cpu.model}`);
      case 'memory':
        return format.memory(config.memoryMiB);
      case 'boot':
        return t(`firmware.kind.${config.firmware}`);
      case 'display':
        return `${t(`hardware.displayModel.${config.display.model}`)}, ${format.memory(config.display.vramMiB)}`;
      case 'disk':
      case 'cdrom':
      case 'floppy':
        return t('hardware.driveHolds', {
          place: t(...placeMessage(device.id as never)),
          file: fileName(driveAt(config, device.id)?.path) || t('drive.empty'),
        });
      case 'network': {
        const card = cardAt(config, device.id);
        return card ? cardWords(card) : '';
      }
      case 'serial':
        return t(`hardware.serialType.${config.serial[portOf(device.id)]?.type ?? 'none'}`);
      case 'usb':
        return config.usb?.tablet ? t('hardware.withTablet') : '';
      case 'clock':
        return t(`hardware.${config.clock}`);
      case 'debug':
        return t(config.debug.gdb ? 'hardware.gdbOn' : 'hardware.gdbOff');
      case 'controller':
        return '';
      default:
        return '';
    }
  }

  /** One field in a line, to be compared with another. */
  function value(field: EditedField, config: VmConfig): string {
    switch (field) {
      case 'cpu':
        return `${t(`cpu.model.${config.cpu.model}`)}, ${t(`accel.kind.${config.cpu.accel}`)}`;
      case 'memoryMiB':
        return format.memory(config.memoryMiB);
      case 'firmware':
        return t(`firmware.kind.${config.firmware}`);
      case 'boot': {
        if (config.boot.kernel) return fileName(config.boot.kernel.path);
        const places = bootLines(config)
          .filter(({ on }) => on)
          .map(({ id }) => (isCardPlace(id) ? cardName(id) : t(...placeMessage(id))));
        return `${places.join(' → ') || t('common.none')} · ${t('hardware.menu')}: ${onOff(config.boot.menu)}`;
      }
      case 'drives':
        return (
          config.drives.map(({ id, kind, path }) => `${driveName(id, kind)}: ${fileName(path) || t('drive.empty')}`).join('; ') ||
          t('common.none')
        );
      case 'display':
        return `${t(`hardware.displayModel.${config.display.model}`)}, ${format.memory(config.display.vramMiB)} · VNC: ${onOff(config.display.listen !== null)}`;
      case 'network':
        return config.network.map((card) => `${cardName(card.id)}: ${cardWords(card)}, ${card.mac}`).join('; ') || t('common.none');
      case 'serial':
        return config.serial.map(({ type }, i) => `COM${i + 1}: ${t(`hardware.serialType.${type}`)}`).join('; ') || t('common.none');
      case 'clock':
        return t(`hardware.${config.clock}`);
      case 'usb':
        return config.usb ? (config.usb.tablet ? t('hardware.withTablet') : onOff(true)) : t('common.none');
      case 'timekeeping':
        return t(config.timekeeping === 'host' ? 'hardware.timeHost' : 'hardware.timeInstructions');
      case 'hpet':
        return onOff(config.hpet);
      case 'paravirt':
        return onOff(config.paravirt);
      case 'debug':
        return onOff(config.debug.gdb !== null);
      case 'name':
      case 'description':
      case 'os':
        return config[field];
    }
  }

  /** What waits for the next start: what it is now, and what it will be. */
  const changes = (config: VmConfig, runsWith: VmConfig | null) =>
    pendingFields(config, runsWith).map((field) => ({
      field,
      label: t(`hardware.field.${field}`),
      now: value(field, runsWith!),
      next: value(field, config),
    }));

  return { title, shortTitle, detail, value, changes, driveName, bootName, cardWords };
}
