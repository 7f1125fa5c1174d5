import type { Role } from './access.ts';
import type { ChannelKind, EventName, MethodName } from './methods.ts';

/**
 * The least role for every method. What shows something of a machine is for all; what somebody sitting before the machine could do is `operate`; what names files
 * of the host, opens ports, changes what a machine is, or loses data is `manage`.
 */
export const methodRoles: Readonly<Record<MethodName, Role>> = {
  'host.info': 'view',
  'host.browse': 'manage',
  'host.systems': 'view',
  'host.inspectMedia': 'manage',
  'host.history': 'view',
  'settings.get': 'view',
  'settings.set': 'manage',

  'vm.list': 'view',
  'vm.get': 'view',
  'vm.suggestName': 'view',
  'vm.preflight': 'manage',
  'vm.create': 'manage',
  'vm.update': 'manage',
  'vm.delete': 'manage',
  'vm.restore': 'manage',
  'vm.resetFirmware': 'manage',
  'vm.hardware': 'view',
  'vm.log': 'view',
  'vm.history': 'view',
  'vm.stats': 'view',
  'vm.start': 'operate',
  'vm.saveState': 'operate',
  'vm.discardState': 'manage',
  'vm.pause': 'operate',
  'vm.resume': 'operate',
  'vm.shutdown': 'operate',
  'vm.reset': 'operate',
  'vm.forceOff': 'operate',
  'vm.screenshot': 'view',
  'vm.thumbnail': 'view',
  'vm.screenText': 'view',
  'vm.typeText': 'operate',
  'vm.cancelTyping': 'operate',
  'vm.sendKeys': 'operate',
  'vm.changeMedium': 'manage',
  'vm.setDrivePolicy': 'manage',
  'vm.growDisk': 'manage',
  'vm.openGdb': 'manage',
  'vm.closeGdb': 'manage',
  'vm.profile': 'operate',

  'vm.clone': 'manage',
  'vm.setTemplate': 'manage',
  'vm.inspectFolder': 'manage',
  'vm.import': 'manage',
  'vm.export': 'manage',
  'vm.importOva': 'manage',
  'vm.exportOva': 'manage',

  'snapshot.list': 'view',
  'snapshot.take': 'operate',
  'snapshot.plan': 'view',
  'snapshot.planTake': 'view',
  'snapshot.revert': 'manage',
  'snapshot.delete': 'manage',
  'snapshot.update': 'manage',
  'snapshot.clone': 'manage',
  'snapshot.thumbnail': 'view',

  'storage.pools': 'view',
  'storage.addPool': 'manage',
  'storage.renamePool': 'manage',
  'storage.removePool': 'manage',
  'storage.volumes': 'view',
  'storage.info': 'view',
  'storage.create': 'manage',
  'storage.convert': 'manage',
  'storage.linkedClone': 'manage',
  'storage.resize': 'manage',
  'storage.check': 'manage',
  'storage.commit': 'manage',
  'storage.rebase': 'manage',
  'storage.compact': 'manage',
  'storage.compare': 'manage',
  'storage.download': 'manage',
  'storage.upload': 'manage',
  'storage.delete': 'manage',
  'storage.attach': 'manage',
  'storage.detach': 'manage',
  'trash.list': 'view',
  'trash.restore': 'manage',
  'trash.remove': 'manage',

  'task.list': 'view',
  'task.cancel': 'manage',

  'access.me': 'view',
  'access.tokens': 'manage',
  'access.createToken': 'manage',
  'access.revokeToken': 'manage',
  'access.connections': 'manage',
};

/** Events that not everybody gets. */
export const eventRoles: Readonly<Partial<Record<EventName, Role>>> = { 'access.changed': 'manage' };

/** The least role to type into a machine over a channel; everybody may look. */
export const channelInputRoles: Readonly<Record<ChannelKind, Role>> = { rfb: 'operate', serial0: 'operate', serial1: 'operate' };
