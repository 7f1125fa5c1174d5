import { useRouter } from 'vue-router';
import { ContractError } from '../../../core/contract/client.ts';
import type { VmSummary } from '../../../core/contract/vm.ts';
import { useConnection } from '../stores/connection.ts';
import { useHost } from '../stores/host.ts';
import { useMachines } from '../stores/machines.ts';
import { toDto, useNotices } from '../stores/notices.ts';
import { useStartChecks } from '../stores/startchecks.ts';
import { useTransfer } from '../stores/transfer.ts';
import { asksForPassphrase } from './passphrase.ts';
import { useFormat } from './useformat.ts';
import { type Verb, verbReason } from './verbs.ts';

/** Carries verbs out: asks before destructive ones, shows failures, offers undo. */
export function useVerbs() {
  const connection = useConnection();
  const machines = useMachines();
  const notices = useNotices();
  const transfer = useTransfer();
  const checks = useStartChecks();
  const router = useRouter();
  const host = useHost();
  const format = useFormat();

  async function run(verb: Verb, vm: VmSummary): Promise<boolean> {
    if (verbReason(verb, vm, host.info?.capabilities) !== null) return false;
    if (verb === 'delete') return remove(vm);
    if (verb === 'clone' || verb === 'export') {
      transfer.open(verb, vm);
      return true;
    }
    if (verb === 'template') return setTemplate(vm);
    if (verb === 'snapshot') {
      void router.push({ name: 'snapshots', params: { id: vm.id }, query: { take: '1' } });
      return true;
    }
    if (verb === 'forceOff' || verb === 'reset' || verb === 'discardState') {
      const yes = await notices.ask({ key: verb, params: { name: vm.name }, danger: true, lines: [] });
      if (!yes) return false;
    }
    if (verb === 'start') return (await checks.pass([vm.id])).length > 0 && start(vm);
    try {
      const next = await connection.call(`vm.${verb}`, { id: vm.id });
      machines.byId.set(next.id, next);
      if (verb === 'saveState') notices.toast({ key: 'toast.stateSaved', tone: 'success', params: { name: vm.name } });
      if (verb === 'shutdown') notices.toast({ key: 'toast.shutdownSent', params: { name: vm.name } });
      if (verb === 'restart') notices.toast({ key: 'toast.restartSent', params: { name: vm.name } });
      return true;
    } catch (error) {
      notices.showError(verb, vm.name, error);
      return false;
    }
  }

  /** Starts a machine that has been looked at; one with encrypted disks after its passphrase was asked for, unless it is at hand. */
  async function start({ id, name }: Pick<VmSummary, 'id' | 'name'>, passphrase?: string): Promise<boolean> {
    let despiteDisks = false;
    const run = async (secret?: string) => {
      const options = { ...(secret ? { passphrase: secret } : {}), ...(despiteDisks ? { despiteDisks } : {}) };
      machines.byId.set(id, await connection.call('vm.start', { id, ...options }));
    };
    const attempt = async (secret?: string): Promise<boolean> => {
      try {
        await run(secret);
        return true;
      } catch (error) {
        const { context } = toDto(error);
        // A folder that was copied by hand has lost its times; whoever copied it knows that nothing else happened.
        if (context.reason === 'disks-changed' && !despiteDisks) {
          const file = String(context.path ?? '');
          if (!(await notices.ask({ key: 'despiteDisks', params: { name }, danger: true, lines: [file], linesKey: 'confirm.changed' })))
            return false;
          despiteDisks = true;
          return attempt(secret);
        }
        if (asksForPassphrase(toDto(error))) notices.unlock = { what: 'machine', name, run };
        else notices.showError('start', name, error);
        return false;
      }
    };
    return attempt(passphrase);
  }

  async function remove(vm: VmSummary): Promise<boolean> {
    try {
      const { bytes, snapshots, keeps, refusal } = await connection.call('vm.planDelete', { id: vm.id });
      if (refusal) {
        notices.showError('delete', vm.name, new ContractError(refusal));
        return false;
      }
      const params = { name: vm.name, folder: vm.folder, size: format.bytes(bytes), n: snapshots };
      if (!(await notices.ask({ key: snapshots ? 'deleteWithSnapshots' : 'delete', params, danger: true, lines: keeps }))) return false;
      const { trashId } = await connection.call('vm.delete', { id: vm.id });
      machines.byId.delete(vm.id);
      if (router.currentRoute.value.params.id === vm.id) void router.push({ name: 'machines' });
      notices.toast({
        key: 'toast.deleted',
        params: { name: vm.name },
        action: { key: 'common.undo', run: () => void restore(trashId, vm.name) },
      });
      return true;
    } catch (error) {
      notices.showError('delete', vm.name, error);
      return false;
    }
  }

  async function setTemplate(vm: VmSummary): Promise<boolean> {
    const template = !vm.config?.template;
    try {
      const next = await connection.call('vm.setTemplate', { id: vm.id, template });
      machines.byId.set(next.id, next);
      notices.toast({ key: template ? 'toast.templateMade' : 'toast.templateUnmade', tone: 'success', params: { name: vm.name } });
      return true;
    } catch (error) {
      notices.showError('template', vm.name, error);
      return false;
    }
  }

  async function restore(trashId: string, name: string): Promise<void> {
    try {
      const vm = await connection.call('vm.restore', { trashId });
      machines.byId.set(vm.id, vm);
      notices.toast({ key: 'toast.restored', tone: 'success', params: { name: vm.name } });
    } catch (error) {
      notices.showError('restore', name, error);
    }
  }

  /** Creates the check image machine and starts it. */
  async function trySample(name: string): Promise<void> {
    try {
      const free = await connection.call('vm.suggestName', { hint: name });
      const vm = await connection.call('vm.create', { name: free, memoryMiB: 32, source: { type: 'sample' }, newDisk: null });
      machines.byId.set(vm.id, vm);
      void router.push({ name: 'console', params: { id: vm.id } });
      const started = await connection.call('vm.start', { id: vm.id });
      machines.byId.set(started.id, started);
    } catch (error) {
      notices.showError('sample', name, error);
    }
  }

  return { run, start, trySample };
}
