import { computed, onScopeDispose, ref } from 'vue';
import { type ConsolePreferences, consolePreferenceFields, consolePreferencesSchema } from '../../../core/contract/consolesettings.ts';
import { useSettings } from '../stores/settings.ts';

const prefix = 'hypervue.console.';
const partial = consolePreferencesSchema.partial();
const names = Object.keys(consolePreferenceFields) as (keyof ConsolePreferences)[];

/** What this browser or desktop app keeps for a machine: how somebody likes to look at it is theirs, not the machine's. */
function stored(vmId: string): Partial<ConsolePreferences> {
  try {
    return partial.parse(JSON.parse(localStorage.getItem(prefix + vmId) ?? '{}')) as Partial<ConsolePreferences>;
  } catch {
    return {};
  }
}

/** How the console of one machine looks and behaves: the settings' defaults, unless it has its own. Windows of the same machine follow one another. */
export function useConsolePreferences(vmId: () => string) {
  const settings = useSettings();
  const own = ref(stored(vmId()));
  const follow = (event: StorageEvent) => {
    if (event.key === prefix + vmId()) own.value = stored(vmId());
  };
  window.addEventListener('storage', follow);
  onScopeDispose(() => window.removeEventListener('storage', follow));

  const current = computed(
    () => Object.fromEntries(names.map((name) => [name, own.value[name] ?? settings.current[name]])) as ConsolePreferences,
  );
  const differs = computed(() => names.some((name) => own.value[name] !== undefined));

  function keep(): void {
    if (differs.value) localStorage.setItem(prefix + vmId(), JSON.stringify(own.value));
    else localStorage.removeItem(prefix + vmId());
  }
  function change(patch: Partial<ConsolePreferences>): void {
    own.value = { ...own.value, ...patch };
    keep();
  }
  /** From now on as the settings say. */
  function reset(): void {
    own.value = {};
    keep();
  }
  /** What this machine has becomes what all have. */
  async function makeDefault(): Promise<void> {
    await settings.change({ ...current.value });
    reset();
  }
  return { current, differs, change, reset, makeDefault };
}
